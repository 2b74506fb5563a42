#include "report/svg_marks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/text.h"

namespace checkbit::svg {

double finite_or_zero(double value) { return std::isfinite(value) ? value : 0; }

std::string coordinate(double value) {
  return fmt::format("{:.2f}", std::clamp(finite_or_zero(value), -1e6, 1e6));
}

std::string open(double height, const std::string& label) {
  return "<svg role=\"img\" height=\"" + coordinate(height) + "\" aria-label=\"" +
         escape_html(label) + "\">\n";
}

std::string bar_head(const std::string& name, const std::string& amount) {
  return "<div class=\"barhead\"><span class=\"name\">" + escape_html(name) +
         "</span><span class=\"amount\">" + escape_html(glue(amount)) + "</span></div>\n";
}

std::string open_silent(double height) {
  return "<svg aria-hidden=\"true\" height=\"" + coordinate(height) + "\">\n";
}

std::string close() { return "</svg>\n"; }

std::string rectangle(double x, double y, double width, double height, const std::string& classes) {
  return fmt::format("<rect x=\"{}%\" y=\"{}\" width=\"{}%\" height=\"{}\" class=\"{}\"/>\n",
                     coordinate(x), coordinate(y), coordinate(std::max(0.0, finite_or_zero(width))),
                     coordinate(height), classes);
}

std::string text(double x, double y, const std::string& anchor, const std::string& classes,
                 const std::string& words) {
  return fmt::format("<text x=\"{}%\" y=\"{}\" text-anchor=\"{}\" class=\"{}\">{}</text>\n",
                     coordinate(x), coordinate(y), anchor, classes, escape_html(words));
}

std::string line(double x1, double y1, double x2, double y2, const std::string& classes) {
  return fmt::format("<line x1=\"{}%\" y1=\"{}\" x2=\"{}%\" y2=\"{}\" class=\"{}\"/>\n",
                     coordinate(x1), coordinate(y1), coordinate(x2), coordinate(y2), classes);
}

std::string open_plot(double top, double height) {
  return fmt::format(
      "<svg x=\"0\" y=\"{}\" width=\"100%\" height=\"{}\" viewBox=\"0 0 1000 1000\" "
      "preserveAspectRatio=\"none\" aria-hidden=\"true\">\n",
      coordinate(top), coordinate(height));
}

double LogScale::place(double value) const {
  const double power = std::log10(std::max(finite_or_zero(value), std::pow(10.0, lowest)));
  return std::clamp((power - lowest) / (highest - lowest), 0.0, 1.0);
}

LogScale log_scale(double low, double high) {
  constexpr double kFloor = 1e-6;  // smaller values are drawn there
  constexpr int kMaxDecades = 8;
  LogScale scale;
  scale.highest = static_cast<int>(std::ceil(std::log10(std::max(kFloor, finite_or_zero(high)))));
  scale.lowest = static_cast<int>(std::floor(std::log10(std::max(kFloor, finite_or_zero(low)))));
  scale.lowest = std::clamp(scale.lowest, scale.highest - kMaxDecades, scale.highest - 2);
  return scale;
}

void log_grid(const LogScale& scale, double top, double height, std::string& marks,
              std::string& labels) {
  for (int power = scale.lowest; power <= scale.highest; ++power) {
    const double value = std::pow(10.0, power);
    const double y = top + height * (1 - scale.place(value));
    marks += line(0, y, 100, y, power == scale.lowest ? "axis" : "grid");
    labels += text(0, y - 4, "start", "over", fmt::format("{:.{}f}", value, std::max(0, -power)));
  }
}

std::string legend_item(std::size_t shade, const std::string& name, const std::string& amount) {
  const std::string said =
      amount.empty() ? "" : " <span class=\"amount\">" + escape_html(amount) + "</span>";
  return "<li><span class=\"swatch s" + std::to_string(shade % 6) + "\"></span><b>" +
         escape_html(name) + "</b>" + said + "</li>\n";
}

std::vector<double> round_ticks(double low, double high, int count) {
  low = finite_or_zero(low);
  high = finite_or_zero(high);
  if (!(high > low)) high = low + 1;
  const double raw = (high - low) / count;
  const double power = std::pow(10, std::floor(std::log10(raw)));
  const double lead = raw / power;
  const double step = power * (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 5 ? 5 : 10);
  std::vector<double> ticks;
  const double first = std::floor(low / step);
  const double last = std::ceil(high / step);
  for (double k = first; k <= last + 0.5 && ticks.size() < 32; ++k) ticks.push_back(k * step);
  if (ticks.size() < 2) ticks.push_back(ticks.front() + step);
  return ticks;
}

}  // namespace checkbit::svg
