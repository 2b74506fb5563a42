// Charts as markup for Chart::body: SVG that fits any width, with text of fixed size.
//
// What: horizontal positions are percentages, heights and text are pixels, so one drawing serves a
//   phone and a desk. Colours come from the page's style sheet and follow dark mode.
// Accessibility: a drawing is an image with a label that says its numbers, or is silent because the
//   words beside it do; figures stand beside marks, so that colour is never the only carrier.
// Values: labels are escaped here; values that are not finite are drawn as 0.
// Threads: pure functions. Each kind of chart is one file, svg_KIND.cpp.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "report/html.h"

namespace checkbit {

/// Horizontal bars from 0 with error bars.
struct Bar {
  std::string label;
  double value = 0;
  std::optional<double> low;  ///< both or neither
  std::optional<double> high;
  std::string text;  ///< the value in words: "18.4 ± 0.3"
  Tone tone = Tone::neutral;
};
/// The bar of a record, in its own words.
Bar bar_of(const Record& record, std::string label, Tone tone);
/// `full`: the amount that fills the width; 0: the largest.
std::string svg_bars(const std::vector<Bar>& bars, double full = 0);

/// One bar for each file, cut into its parts, on a common scale; legend with amounts of the last.
struct StackPart {
  std::string key;  ///< "Q4_K"
  double amount = 0;
};
struct Stack {
  std::string label;
  std::vector<StackPart> parts;
};
/// `unit` as in Record ("bytes").
std::string svg_stacks(const std::vector<Stack>& stacks, const std::string& unit);

/// Quantiles at equal steps from 0 to 1 on a logarithmic scale, with the median and the 99 % point
/// named. Precondition: at least two quantiles.
std::string svg_quantiles(const std::vector<double>& quantiles, const std::string& unit);
/// Several curves of equally many quantiles, with a legend in place of the named points.
struct QuantileCurve {
  std::string label;
  std::vector<double> quantiles;
};
std::string svg_quantile_curves(const std::vector<QuantileCurve>& curves, const std::string& unit);

/// Points over two axes, the upper one logarithmic, numbered; a list below names them with both
/// amounts. A line joins the points `on_front`, in order of x. Values at or below 0 are drawn at
/// the bottom. Precondition: at least one point.
struct Point {
  std::string label;
  double x = 0;
  double y = 0;
  std::optional<double> low;  ///< of y; both or neither
  std::optional<double> high;
  std::string x_text;  ///< the amounts in words
  std::string y_text;
  bool on_front = false;
};
std::string svg_points(const std::vector<Point>& points, const std::string& x_unit,
                       const std::string& y_unit);

/// Rows of cells, darker for more: bits of each tensor (rows: roles, cells: layers).
struct StripRow {
  std::string label;
  std::vector<std::optional<double>> values;
};
std::string svg_strips(const std::vector<StripRow>& rows, const std::string& unit,
                       const std::string& first_label, const std::string& last_label);

/// Lines over equal steps; `from_zero`: the axis begins at 0, so that heights can be compared.
struct Line {
  std::string label;
  std::vector<double> values;
  Tone tone = Tone::accent;
};
std::string svg_lines(const std::vector<Line>& lines, const std::string& first_label,
                      const std::string& last_label, bool from_zero = false);

/// Curves over a logarithmic axis, the upper one logarithmic too, with error bars and a legend.
/// Points at or below 0 are drawn at the bottom. Precondition: at least one point.
struct CurvePoint {
  double x = 0;  ///< above 0
  double y = 0;
  std::optional<double> low;  ///< of y; both or neither
  std::optional<double> high;
};
struct Curve {
  std::string label;
  std::string text;  ///< in the legend, behind the name; may be empty
  std::vector<CurvePoint> points;
};
std::string svg_curves(const std::vector<Curve>& curves, const std::string& x_name,
                       const std::string& y_name);

}  // namespace checkbit
