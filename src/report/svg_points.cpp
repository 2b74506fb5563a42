#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/result.h"
#include "report/number.h"
#include "report/svg.h"
#include "report/svg_marks.h"
#include "report/text.h"

namespace checkbit {
namespace {

constexpr double kTop = 18;
constexpr double kHeight = 260;
constexpr double kMargin = 8;  // per cent of the width, left free for the numbers of the axis
constexpr int kTicks = 4;

/// Where amounts along x lie, in per cent of the width.
struct LinearScale {
  double low = 0;
  double high = 1;
  double place(double value) const {
    return kMargin + (100 - 2 * kMargin) * (svg::finite_or_zero(value) - low) / (high - low);
  }
};

/// Round numbers that print differently, also when all points are next to one another.
std::vector<double> ticks_across(const LinearScale& points) {
  constexpr double kLeastShare = 0.05;  // of the amounts, to either side
  const double middle = (points.low + points.high) / 2;
  const double reach = std::max((points.high - points.low) / 2, kLeastShare * std::abs(middle));
  return svg::round_ticks(middle - reach, middle + reach, kTicks);
}

double lowest_positive(const std::vector<Point>& points) {
  double lowest = 0;
  for (const Point& point : points) {
    for (const double value :
         {svg::finite_or_zero(point.y), svg::finite_or_zero(point.low.value_or(0))}) {
      if (value > 0) lowest = lowest == 0 ? value : std::min(lowest, value);
    }
  }
  return lowest;
}

std::string whisker(const Point& point, double x, const svg::LogScale& scale) {
  if (!point.low || !point.high) return "";
  const double low = kTop + kHeight * (1 - scale.place(*point.low));
  const double high = kTop + kHeight * (1 - scale.place(*point.high));
  constexpr double kHalfCap = 0.8;
  return svg::line(x, low, x, high, "whisker") +
         svg::line(x - kHalfCap, low, x + kHalfCap, low, "whisker") +
         svg::line(x - kHalfCap, high, x + kHalfCap, high, "whisker");
}

std::string front(const std::vector<Point>& points, const LinearScale& across,
                  const svg::LogScale& up) {
  std::vector<Point> on_front;
  std::ranges::copy_if(points, std::back_inserter(on_front), &Point::on_front);
  if (on_front.size() < 2) return "";
  std::ranges::stable_sort(on_front, {}, [](const Point& p) { return svg::finite_or_zero(p.x); });
  std::string line;
  for (const Point& point : on_front) {
    line += svg::coordinate(10 * across.place(point.x)) + "," +
            svg::coordinate(1000 * (1 - up.place(point.y))) + " ";
  }
  return svg::open_plot(kTop, kHeight) + "<polyline class=\"line-neutral\" points=\"" + line +
         "\"/>\n" + svg::close();
}

}  // namespace

std::string svg_points(const std::vector<Point>& points, const std::string& x_unit,
                       const std::string& y_unit) {
  CB_CHECK(!points.empty());
  LinearScale across{svg::finite_or_zero(points[0].x), svg::finite_or_zero(points[0].x)};
  double highest = 0;
  std::string label = "Points";
  for (const Point& point : points) {
    across.low = std::min(across.low, svg::finite_or_zero(point.x));
    across.high = std::max(across.high, svg::finite_or_zero(point.x));
    highest = std::max(
        {highest, svg::finite_or_zero(point.y), svg::finite_or_zero(point.high.value_or(0))});
    label += "; " + point.label + ": " + point.x_text + ", " + point.y_text;
  }
  const std::vector<double> ticks = ticks_across(across);
  across = {ticks.front(), ticks.back()};
  const svg::LogScale up = svg::log_scale(lowest_positive(points), highest);

  std::string body = svg::open(kTop + kHeight + 22, label);
  std::string labels;
  svg::log_grid(up, kTop, kHeight, body, labels);
  body += front(points, across, up);
  std::string list = "<ol class=\"legend points\">\n";
  for (std::size_t i = 0; i < points.size(); ++i) {
    const Point& point = points[i];
    const double x = across.place(point.x);
    const double y = kTop + kHeight * (1 - up.place(point.y));
    body += whisker(point, x, up);
    body += fmt::format("<circle cx=\"{}%\" cy=\"{}\" r=\"9\" class=\"{}\"/>\n", svg::coordinate(x),
                        svg::coordinate(y), point.on_front ? "dot front" : "dot");
    body += svg::text(x, y + 4, "middle", point.on_front ? "number front" : "number",
                      std::to_string(i + 1));
    list += "<li><b>" + std::to_string(i + 1) + " " + escape_html(point.label) +
            "</b> <span class=\"amount\">" + escape_html(point.x_text + ", " + point.y_text) +
            "</span></li>\n";
  }
  body += labels;
  const double base = kTop + kHeight + 17;
  for (const double tick : ticks) {
    body += svg::text(across.place(tick), base, "middle", "", print_quantity(tick, x_unit));
  }
  body += svg::text(100, 12, "end", "", y_unit + ", logarithmic") + svg::close();
  return body + list + "</ol>\n";
}

}  // namespace checkbit
