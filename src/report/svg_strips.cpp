#include <fmt/format.h>

#include <algorithm>

#include "report/number.h"
#include "report/svg.h"
#include "report/svg_marks.h"
#include "report/text.h"

namespace checkbit {
namespace {

constexpr double kCellHeight = 18;
constexpr double kFaintest = 0.12;

struct Range {
  double low = 0;
  double high = 0;
  bool empty = true;
  /// How strongly a cell is filled: faintest for the least, full for the most.
  double strength(double value) const {
    return high > low ? kFaintest + (1 - kFaintest) * (value - low) / (high - low) : 0.6;
  }
};

Range range_of(const std::vector<StripRow>& rows) {
  Range range;
  for (const StripRow& row : rows) {
    for (const auto& value : row.values) {
      if (!value.has_value()) continue;
      const double number = svg::finite_or_zero(*value);
      range.low = range.empty ? number : std::min(range.low, number);
      range.high = range.empty ? number : std::max(range.high, number);
      range.empty = false;
    }
  }
  return range;
}

std::string cells(const StripRow& row, std::size_t columns, const Range& range,
                  const std::string& unit) {
  const double width = 100 / static_cast<double>(columns);
  std::string body =
      svg::open(kCellHeight, row.label + ", " + std::to_string(row.values.size()) + " cells");
  for (std::size_t i = 0; i < row.values.size(); ++i) {
    if (!row.values[i].has_value()) continue;
    const double value = svg::finite_or_zero(*row.values[i]);
    body += fmt::format(
        "<rect x=\"{}%\" y=\"0\" width=\"{}%\" height=\"{}\" class=\"cell\" "
        "fill-opacity=\"{}\"><title>{}</title></rect>\n",
        svg::coordinate(static_cast<double>(i) * width), svg::coordinate(width * 0.94),
        svg::coordinate(kCellHeight), svg::coordinate(range.strength(value)),
        escape_html(row.label + " " + std::to_string(i) + ": " + print_quantity(value, unit)));
  }
  return body + svg::close();
}

std::string key(const Range& range, const std::string& unit) {
  if (range.empty) return "";
  const auto swatch = [&](double value) {
    return fmt::format("<li><span class=\"swatch s0\" style=\"opacity:{}\"></span>{}</li>\n",
                       svg::coordinate(range.strength(value)),
                       escape_html(print_quantity(value, unit)));
  };
  std::string list = "<ul class=\"legend\">\n" + swatch(range.low);
  if (range.high > range.low) {
    list += swatch(0.5 * (range.low + range.high)) + swatch(range.high);
  }
  return list + "</ul>\n";
}

}  // namespace

std::string svg_strips(const std::vector<StripRow>& rows, const std::string& unit,
                       const std::string& first_label, const std::string& last_label) {
  std::size_t columns = 1;
  for (const StripRow& row : rows) columns = std::max(columns, row.values.size());
  const Range range = range_of(rows);
  std::string body = "<div class=\"strips\">\n";
  for (const StripRow& row : rows) {
    body += "<span>" + escape_html(row.label) + "</span>\n" + cells(row, columns, range, unit);
  }
  body += "<span></span><span class=\"ends\"><span>" + escape_html(first_label) + "</span><span>" +
          escape_html(last_label) + "</span></span>\n</div>\n";
  return body + key(range, unit);
}

}  // namespace checkbit
