#include "report/number.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/text.h"

namespace checkbit {
namespace {

constexpr int kSignificantDigits = 3;
constexpr int kMaxDecimals = 6;

struct Scale {
  double factor = 1;
  std::string unit;
};

Scale scale_of(double value, const std::string& unit) {
  if (unit == "share") return {100, "%"};
  if (unit == "bytes" || unit == "bytes/s") {
    const std::string suffix = unit == "bytes" ? "" : "/s";
    const double size = std::abs(value);
    if (size >= 999.5e6) return {1e-9, "GB" + suffix};
    if (size >= 999.5e3) return {1e-6, "MB" + suffix};
    if (size >= 1e3) return {1e-3, "kB" + suffix};
    return {1, "bytes" + suffix};
  }
  if (unit.ends_with("/s") && std::abs(value) >= 999.5e6) return {1e-9, "billion " + unit};
  return {1, unit};
}

/// Decimals that show `digits` significant digits of a number of this size.
int decimals_for(double size, int digits) {
  if (!(size > 0) || !std::isfinite(size)) return 0;
  int magnitude = static_cast<int>(std::floor(std::log10(size)));
  // 0.9996 rounds to 1.00, which has one digit more before the point.
  const double shown = std::round(size * std::pow(10, digits - 1 - magnitude));
  if (shown >= std::pow(10, digits)) ++magnitude;
  return std::clamp(digits - 1 - magnitude, 0, kMaxDecimals);
}

std::string with_separators(double whole) {
  std::string digits = fmt::format("{:.0f}", std::abs(whole));
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3) {
    digits.insert(static_cast<std::size_t>(at), ",");
  }
  return (whole < 0 ? "-" : "") + digits;
}

std::string print_number(double value, int decimals) {
  if (std::isnan(value)) return "not a number";
  if (std::isinf(value)) return value > 0 ? "infinite" : "minus infinite";
  if (decimals == 0) return with_separators(value);
  const bool tiny = value != 0 && std::abs(value) < 0.5 * std::pow(10, -decimals);
  if (tiny) return fmt::format("{:.1e}", value);
  return fmt::format("{:.{}f}", value, decimals);
}

/// Whether the number prints in full with so many decimals.
bool is_exact(double value, int decimals) {
  const double scaled = value * std::pow(10, decimals);
  return std::abs(scaled - std::round(scaled)) <= 1e-9 * std::abs(scaled);
}

int plain_decimals(double value, const std::string& unit) {
  const bool counts = unit != "GB" && unit != "MB" && unit != "kB" && unit != "%";
  if (counts && value == std::floor(value) && std::abs(value) < 1e15) return 0;
  int decimals = decimals_for(std::abs(value), kSignificantDigits);
  // 3.5 bits stay "3.5": zeros that say nothing go.
  while (decimals > 0 && is_exact(value, decimals - 1)) --decimals;
  return decimals;
}

/// The half width gets two digits when they begin with 1 or 2, else one; two also when the value
/// would have fewer than three digits otherwise.
int interval_decimals(double value, double half) {
  const double magnitude = std::pow(10, std::floor(std::log10(half)));
  const int two_digits = decimals_for(half, 2);
  const int wanted = decimals_for(half, half / magnitude < 2.95 ? 2 : 1);
  return std::min(two_digits, std::max(wanted, decimals_for(std::abs(value), kSignificantDigits)));
}

}  // namespace

PrintedRecord print_record(const Record& record) {
  if (record.text.has_value()) return {clean_line(*record.text), record.unit, ""};
  const Scale scale = scale_of(record.value, record.unit);
  const double value = record.value * scale.factor;
  PrintedRecord printed{.value = "", .unit = scale.unit, .interval = ""};
  if (!record.low.has_value() || !record.high.has_value()) {
    printed.value = print_number(value, plain_decimals(value, scale.unit));
    return printed;
  }
  const double low = *record.low * scale.factor;
  const double high = *record.high * scale.factor;
  const double half = 0.5 * (high - low);
  const int decimals =
      half > 0 ? interval_decimals(value, half) : plain_decimals(value, scale.unit);
  printed.value = print_number(value, decimals);
  const bool even = std::abs((high - value) - (value - low)) <= 0.1 * half;
  printed.interval =
      even ? "± " + print_number(half, decimals)
           : fmt::format("[{}, {}]", print_number(low, decimals), print_number(high, decimals));
  return printed;
}

std::string print_quantity(double value, const std::string& unit) {
  const PrintedRecord printed = print_record(Record{.name = "", .value = value, .unit = unit});
  return printed.unit.empty() ? printed.value : printed.value + " " + printed.unit;
}

std::string print_with_interval(const Record& record) {
  const PrintedRecord printed = print_record(record);
  std::string text = printed.value;
  if (!printed.unit.empty()) text += " " + printed.unit;
  if (!printed.interval.empty()) text += " " + printed.interval;
  return text;
}

}  // namespace checkbit
