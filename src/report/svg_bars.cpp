#include <algorithm>
#include <utility>

#include "report/number.h"
#include "report/svg.h"
#include "report/svg_marks.h"

namespace checkbit {
namespace {

constexpr double kBarHeight = 12;

const char* fill_of(Tone tone) {
  return tone == Tone::accent     ? "fill-accent"
         : tone == Tone::contrast ? "fill-contrast"
                                  : "fill-neutral";
}

double largest(const std::vector<Bar>& bars) {
  double most = 0;
  for (const Bar& bar : bars) {
    most = std::max(most, svg::finite_or_zero(bar.value));
    if (bar.high.has_value()) most = std::max(most, svg::finite_or_zero(*bar.high));
  }
  return most > 0 ? most : 1;
}

std::string whisker(double low, double high, double middle) {
  constexpr double kHalfCap = 5;
  return svg::line(low, middle, high, middle, "whisker") +
         svg::line(low, middle - kHalfCap, low, middle + kHalfCap, "whisker") +
         svg::line(high, middle - kHalfCap, high, middle + kHalfCap, "whisker");
}

}  // namespace

Bar bar_of(const Record& record, std::string label, Tone tone) {
  return {.label = std::move(label),
          .value = record.value,
          .low = record.low,
          .high = record.high,
          .text = print_with_interval(record),
          .tone = tone};
}

std::string svg_bars(const std::vector<Bar>& bars, double full) {
  const double scale = 100 / (full > 0 ? full : largest(bars));
  std::string body;
  for (const Bar& bar : bars) {
    body += svg::bar_head(bar.label, bar.text);
    body += svg::open_silent(kBarHeight);
    body += svg::rectangle(0, 0, 100, kBarHeight, "track");
    body +=
        svg::rectangle(0, 0, svg::finite_or_zero(bar.value) * scale, kBarHeight, fill_of(bar.tone));
    if (bar.low.has_value() && bar.high.has_value()) {
      const double low = std::max(0.0, svg::finite_or_zero(*bar.low)) * scale;
      body += whisker(low, svg::finite_or_zero(*bar.high) * scale, kBarHeight / 2);
    }
    body += svg::close();
  }
  return body;
}

}  // namespace checkbit
