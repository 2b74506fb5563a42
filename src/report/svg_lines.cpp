#include <algorithm>

#include "report/number.h"
#include "report/svg.h"
#include "report/svg_marks.h"
#include "report/text.h"

namespace checkbit {
namespace {

constexpr double kTop = 18;
constexpr double kHeight = 180;
constexpr int kTicks = 4;

const char* stroke_of(Tone tone) {
  return tone == Tone::accent     ? "line-accent"
         : tone == Tone::contrast ? "line-contrast"
                                  : "line-neutral";
}

const char* shade_of(Tone tone) {
  return tone == Tone::accent ? "s0" : tone == Tone::contrast ? "s2" : "s4";
}

std::vector<double> ticks_for(const std::vector<Line>& lines, bool from_zero) {
  double low = 0;
  double high = 0;
  bool empty = !from_zero;
  for (const Line& line : lines) {
    for (const double raw : line.values) {
      const double value = svg::finite_or_zero(raw);
      low = empty ? value : std::min(low, value);
      high = empty ? value : std::max(high, value);
      empty = false;
    }
  }
  return svg::round_ticks(low, high, kTicks);
}

std::string polyline(const Line& line, double low, double high) {
  std::string points;
  const double steps = std::max(1.0, static_cast<double>(line.values.size()) - 1);
  for (std::size_t i = 0; i < line.values.size(); ++i) {
    const double height = (svg::finite_or_zero(line.values[i]) - low) / (high - low);
    points += svg::coordinate(1000 * static_cast<double>(i) / steps) + "," +
              svg::coordinate(1000 * (1 - height)) + " ";
  }
  return "<polyline class=\"" + std::string(stroke_of(line.tone)) + "\" points=\"" + points +
         "\"/>\n";
}

}  // namespace

std::string svg_lines(const std::vector<Line>& lines, const std::string& first_label,
                      const std::string& last_label, bool from_zero) {
  const std::vector<double> ticks = ticks_for(lines, from_zero);
  const double low = ticks.front();
  const double high = ticks.back();
  std::string label = "Lines from " + print_quantity(low, "") + " to " + print_quantity(high, "");
  for (const Line& line : lines) label += ", " + line.label;
  std::string body = svg::open(kTop + kHeight + 22, label);
  std::string labels;
  for (const double tick : ticks) {
    const double y = kTop + kHeight * (1 - (tick - low) / (high - low));
    body += svg::line(0, y, 100, y, tick == low ? "axis" : "grid");
    labels += svg::text(0, y - 4, "start", "over", print_quantity(tick, ""));
  }
  body += svg::open_plot(kTop, kHeight);
  for (const Line& line : lines) body += polyline(line, low, high);
  body += svg::close() + labels;
  const double base = kTop + kHeight + 17;
  body += svg::text(0, base, "start", "", first_label) +
          svg::text(100, base, "end", "", last_label) + svg::close();
  body += "<ul class=\"legend\">\n";
  for (const Line& line : lines) {
    body += "<li><span class=\"swatch " + std::string(shade_of(line.tone)) + "\"></span>" +
            escape_html(line.label) + "</li>\n";
  }
  return body + "</ul>\n";
}

}  // namespace checkbit
