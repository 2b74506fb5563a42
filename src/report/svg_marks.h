// Marks that several charts share. Positions along x are per cent of the width, along y pixels.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace checkbit::svg {

/// "12.34", for coordinates: never NaN, never an exponent.
std::string coordinate(double value);
double finite_or_zero(double value);

/// The line above a bar: its name, and its amount in words at the other end. Text beside the
/// drawing wraps where a drawing could not.
std::string bar_head(const std::string& name, const std::string& amount);

/// Opens a drawing that only repeats the words beside it.
std::string open_silent(double height);

/// Opens and closes a drawing; `label` says in words what it shows.
std::string open(double height, const std::string& label);
std::string close();

std::string rectangle(double x, double y, double width, double height, const std::string& classes);
std::string text(double x, double y, const std::string& anchor, const std::string& classes,
                 const std::string& words);
std::string line(double x1, double y1, double x2, double y2, const std::string& classes);

/// The inside of a plot: a drawing whose coordinates run from 0 to 1000 both ways, y downwards.
std::string open_plot(double top, double height);

/// A logarithmic scale of whole decades.
struct LogScale {
  int lowest = 0;
  int highest = 0;
  /// From 0 (bottom) to 1 (top); values below the lowest decade are drawn there.
  double place(double value) const;
};
/// Covers what is given, at least two decades and at most eight, of which the upper are kept.
LogScale log_scale(double low, double high);
/// Lines at the decades of a plot, into `marks`, and their numbers, into `labels`.
void log_grid(const LogScale& scale, double top, double height, std::string& marks,
              std::string& labels);

/// One line of a chart's legend, shade 0 to 5.
std::string legend_item(std::size_t shade, const std::string& name, const std::string& amount);

/// Round numbers that cover [low, high] in about `count` steps; at least two.
std::vector<double> round_ticks(double low, double high, int count);

}  // namespace checkbit::svg
