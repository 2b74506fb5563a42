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
constexpr double kFloor = 1e-6;  // smaller values are drawn there
constexpr int kMaxDecades = 8;

struct LogScale {
  int lowest = 0;
  int highest = 0;
  /// From 0 (bottom) to 1 (top).
  double place(double value) const {
    const double power = std::log10(std::max(value, std::pow(10.0, lowest)));
    return std::clamp((power - lowest) / (highest - lowest), 0.0, 1.0);
  }
};

LogScale scale_for(const std::vector<double>& quantiles) {
  const double largest = std::max(kFloor, svg::finite_or_zero(quantiles.back()));
  LogScale scale;
  scale.highest = static_cast<int>(std::ceil(std::log10(largest)));
  // The lowest 5 % would stretch the axis for differences nobody can use.
  const double low = svg::finite_or_zero(quantiles[quantiles.size() / 20]);
  scale.lowest = static_cast<int>(std::floor(std::log10(std::max(kFloor, low))));
  scale.lowest = std::clamp(scale.lowest, scale.highest - kMaxDecades, scale.highest - 2);
  return scale;
}

std::string marker(double share, double value, const LogScale& scale, const std::string& name,
                   const std::string& unit) {
  const double y = kTop + kHeight * (1 - scale.place(value));
  return fmt::format("<circle cx=\"{}%\" cy=\"{}\" r=\"4.5\" class=\"dot\"/>\n",
                     svg::coordinate(100 * share), svg::coordinate(y)) +
         svg::text(100 * share - 2, y - 9, "end", "value over",
                   name + " " + print_quantity(value, unit));
}

}  // namespace

std::string svg_quantiles(const std::vector<double>& quantiles, const std::string& unit) {
  CB_CHECK(quantiles.size() >= 2);
  const LogScale scale = scale_for(quantiles);
  const auto last = static_cast<double>(quantiles.size() - 1);
  const auto at = [&](double share) {
    return svg::finite_or_zero(quantiles[static_cast<std::size_t>(std::lround(share * last))]);
  };
  std::string body =
      svg::open(kTop + kHeight + 22, "Quantiles: median " + print_quantity(at(0.5), unit) +
                                         ", 99 per cent below " + print_quantity(at(0.99), unit));
  std::string labels;
  for (int power = scale.lowest; power <= scale.highest; ++power) {
    const double value = std::pow(10.0, power);
    const double y = kTop + kHeight * (1 - scale.place(value));
    body += svg::line(0, y, 100, y, power == scale.lowest ? "axis" : "grid");
    labels +=
        svg::text(0, y - 4, "start", "over", fmt::format("{:.{}f}", value, std::max(0, -power)));
  }
  std::string points;
  for (std::size_t i = 0; i < quantiles.size(); ++i) {
    points += svg::coordinate(1000 * static_cast<double>(i) / last) + "," +
              svg::coordinate(1000 * (1 - scale.place(svg::finite_or_zero(quantiles[i])))) + " ";
  }
  body += svg::open_plot(kTop, kHeight);
  body += "<polygon class=\"area\" points=\"0,1000 " + points + "1000,1000\"/>\n";
  body += "<polyline class=\"line-accent\" points=\"" + points + "\"/>\n" + svg::close();
  body += labels;  // above the area, so that it never hides them
  body += marker(0.5, at(0.5), scale, "median", unit);
  body += marker(0.99, at(0.99), scale, "99 % below", unit);
  const double base = kTop + kHeight + 17;
  body += svg::text(0, base, "start", "", "0 %") + svg::text(50, base, "middle", "", "50 %") +
          svg::text(100, base, "end", "", "100 % of tokens");
  return body + svg::close();
}

}  // namespace checkbit
