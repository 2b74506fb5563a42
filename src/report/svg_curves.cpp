#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/result.h"
#include "report/number.h"
#include "report/svg.h"
#include "report/svg_marks.h"

namespace checkbit {
namespace {

constexpr double kTop = 24;
constexpr double kHeight = 260;
constexpr double kMargin = 8;  // per cent of the width, left free for the numbers of the axis
constexpr std::size_t kShades = 6;

/// Whole decades from side to side.
struct Across {
  int lowest = 0;
  int highest = 1;
  double place(double x) const {
    const double share = (std::log10(x) - lowest) / (highest - lowest);
    return kMargin + (100 - 2 * kMargin) * std::clamp(share, 0.0, 1.0);
  }
};

struct Axes {
  Across across;
  svg::LogScale up;
};

Axes axes_for(const std::vector<Curve>& curves) {
  double left = 0;
  double right = 0;
  double low = 0;
  double high = 0;
  const auto lower = [](double so_far, double value) {
    return value > 0 && (so_far == 0 || value < so_far) ? value : so_far;
  };
  for (const Curve& curve : curves) {
    for (const CurvePoint& point : curve.points) {
      left = lower(left, svg::finite_or_zero(point.x));
      right = std::max(right, svg::finite_or_zero(point.x));
      low = lower(low, svg::finite_or_zero(point.y));
      high = std::max(
          {high, svg::finite_or_zero(point.y), svg::finite_or_zero(point.high.value_or(0))});
    }
  }
  CB_CHECK(left > 0);
  const int lowest = static_cast<int>(std::floor(std::log10(left)));
  const int highest = static_cast<int>(std::ceil(std::log10(right)));
  return {{lowest, std::max(highest, lowest + 1)}, svg::log_scale(low, high)};
}

std::string line_of(const Curve& curve, const Axes& axes, std::size_t shade) {
  std::string points;
  for (const CurvePoint& point : curve.points) {
    points += svg::coordinate(10 * axes.across.place(point.x)) + "," +
              svg::coordinate(1000 * (1 - axes.up.place(svg::finite_or_zero(point.y)))) + " ";
  }
  return fmt::format("<polyline class=\"line-s{}\" points=\"{}\"/>\n", shade, points);
}

std::string whiskers_of(const Curve& curve, const Axes& axes) {
  std::string marks;
  for (const CurvePoint& point : curve.points) {
    if (!point.low || !point.high) continue;
    const auto y = [&](double value) {
      return kTop + kHeight * (1 - axes.up.place(svg::finite_or_zero(value)));
    };
    const double x = axes.across.place(point.x);
    marks += svg::line(x, y(*point.low), x, y(*point.high), "whisker");
  }
  return marks;
}

}  // namespace

std::string svg_curves(const std::vector<Curve>& curves, const std::string& x_name,
                       const std::string& y_name) {
  const Axes axes = axes_for(curves);
  std::string label = y_name + " over " + x_name;
  std::string grid;
  std::string labels;
  svg::log_grid(axes.up, kTop, kHeight, grid, labels);
  std::string lines;
  std::string whiskers;
  std::string legend = "<ul class=\"legend\">\n";
  for (std::size_t i = 0; i < curves.size(); ++i) {
    const Curve& curve = curves[i];
    lines += line_of(curve, axes, i % kShades);
    whiskers += whiskers_of(curve, axes);
    label += "; " + curve.label;
    for (const CurvePoint& point : curve.points)
      label += fmt::format(", {:.2g} at {:.2g}", svg::finite_or_zero(point.y), point.x);
    legend += svg::legend_item(i, curve.label, curve.text);
  }
  std::string body = svg::open(kTop + kHeight + 36, label) + grid + whiskers;
  body += svg::open_plot(kTop, kHeight) + lines + svg::close() + labels;
  const double base = kTop + kHeight + 17;
  const Across& across = axes.across;
  const int step = (across.highest - across.lowest + 5) / 6;
  for (int power = across.lowest; power <= across.highest; power += step) {
    body += svg::text(across.place(std::pow(10.0, power)), base, "middle", "",
                      fmt::format("1e{}", power));
  }
  body += svg::text(50, base + 16, "middle", "", x_name);
  body += svg::text(100, 12, "end", "", y_name) + svg::close();
  return body + legend + "</ul>\n";
}

}  // namespace checkbit
