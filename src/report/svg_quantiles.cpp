#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/result.h"
#include "report/number.h"
#include "report/svg.h"
#include "report/svg_marks.h"

namespace checkbit {
namespace {

constexpr double kTop = 18;
constexpr double kHeight = 220;

/// The lowest 5 % would stretch the axis for differences nobody can use.
svg::LogScale scale_for(const std::vector<QuantileCurve>& curves) {
  double low = 0;
  double high = 0;
  for (const QuantileCurve& curve : curves) {
    const std::vector<double>& quantiles = curve.quantiles;
    const double lowest = svg::finite_or_zero(quantiles[quantiles.size() / 20]);
    low = low == 0 ? lowest : std::min(low, lowest);
    high = std::max(high, svg::finite_or_zero(quantiles.back()));
  }
  return svg::log_scale(low, high);
}

std::string points_of(const QuantileCurve& curve, const svg::LogScale& scale) {
  const auto last = static_cast<double>(curve.quantiles.size() - 1);
  std::string points;
  for (std::size_t i = 0; i < curve.quantiles.size(); ++i) {
    points += svg::coordinate(1000 * static_cast<double>(i) / last) + "," +
              svg::coordinate(1000 * (1 - scale.place(curve.quantiles[i]))) + " ";
  }
  return points;
}

double quantile_at(const QuantileCurve& curve, double share) {
  const auto last = static_cast<double>(curve.quantiles.size() - 1);
  return svg::finite_or_zero(curve.quantiles[static_cast<std::size_t>(std::lround(share * last))]);
}

std::string words_of(const QuantileCurve& curve, const std::string& unit) {
  return "median " + print_quantity(quantile_at(curve, 0.5), unit) + ", 99 per cent below " +
         print_quantity(quantile_at(curve, 0.99), unit);
}

std::string marker(double share, double value, const svg::LogScale& scale, const std::string& name,
                   const std::string& unit) {
  const double y = kTop + kHeight * (1 - scale.place(value));
  return fmt::format("<circle cx=\"{}%\" cy=\"{}\" r=\"4.5\" class=\"dot\"/>\n",
                     svg::coordinate(100 * share), svg::coordinate(y)) +
         svg::text(100 * share - 2, y - 9, "end", "value over",
                   name + " " + print_quantity(value, unit));
}

/// The plot with its axes; `over` is drawn on top.
std::string plot(const std::vector<QuantileCurve>& curves, const svg::LogScale& scale,
                 const std::string& label, const std::string& curve_marks,
                 const std::string& over) {
  CB_CHECK(!curves.empty());
  std::string body = svg::open(kTop + kHeight + 22, label);
  std::string labels;
  svg::log_grid(scale, kTop, kHeight, body, labels);
  body += svg::open_plot(kTop, kHeight) + curve_marks + svg::close();
  body += labels + over;  // above the curves, so that they never hide them
  const double base = kTop + kHeight + 17;
  body += svg::text(0, base, "start", "", "0 %") + svg::text(50, base, "middle", "", "50 %") +
          svg::text(100, base, "end", "", "100 % of tokens");
  return body + svg::close();
}

}  // namespace

std::string svg_quantiles(const std::vector<double>& quantiles, const std::string& unit) {
  CB_CHECK(quantiles.size() >= 2);
  const std::vector<QuantileCurve> curves = {{"", quantiles}};
  const svg::LogScale scale = scale_for(curves);
  const std::string points = points_of(curves[0], scale);
  return plot(curves, scale, "Quantiles: " + words_of(curves[0], unit),
              "<polygon class=\"area\" points=\"0,1000 " + points +
                  "1000,1000\"/>\n<polyline class=\"line-accent\" points=\"" + points + "\"/>\n",
              marker(0.5, quantile_at(curves[0], 0.5), scale, "median", unit) +
                  marker(0.99, quantile_at(curves[0], 0.99), scale, "99 % below", unit));
}

std::string svg_quantile_curves(const std::vector<QuantileCurve>& curves, const std::string& unit) {
  CB_CHECK(!curves.empty() && curves[0].quantiles.size() >= 2);
  const svg::LogScale scale = scale_for(curves);
  std::string marks;
  std::string label = "Quantiles";
  std::string legend = "<ul class=\"legend\">\n";
  for (std::size_t i = 0; i < curves.size(); ++i) {
    marks += "<polyline class=\"line-s" + std::to_string(i % 6) + "\" points=\"" +
             points_of(curves[i], scale) + "\"/>\n";
    label += "; " + curves[i].label + ": " + words_of(curves[i], unit);
    legend += svg::legend_item(i, curves[i].label, words_of(curves[i], unit));
  }
  return plot(curves, scale, label, marks, "") + legend + "</ul>\n";
}

}  // namespace checkbit
