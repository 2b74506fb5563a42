#include "quantize/emulated_float.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/float16.h"

namespace checkbit {
namespace {

/// Takes `letter` and a number off the front; none when they are not there.
std::optional<int> take(std::string_view& rest, char letter) {
  if (rest.empty() || (rest.front() | 0x20) != letter) return std::nullopt;
  int value = 0;
  const auto [end, code] = std::from_chars(rest.data() + 1, rest.data() + rest.size(), value);
  if (code != std::errc() || value < 0) return std::nullopt;
  rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
  return value;
}

/// The exponent of the smallest normal number, that of the largest being 0.
int least_exponent(int exponent_bits) { return 2 - (1 << exponent_bits); }

}  // namespace

Result<std::optional<EmulatedFloat>> parse_emulated_float(std::string_view name) {
  std::string_view rest = name;
  const std::optional<int> exponent = take(rest, 'e');
  const std::optional<int> mantissa = exponent ? take(rest, 'm') : std::nullopt;
  if (!mantissa.has_value()) return std::optional<EmulatedFloat>();
  EmulatedFloat format{*exponent, *mantissa, 0};
  if (!rest.empty()) {
    const bool colon = rest.front() == ':';
    rest.remove_prefix(1);
    const std::optional<int> block = colon ? take(rest, 'b') : std::nullopt;
    if (!block.has_value() || !rest.empty() || *block < 1 || *block > kMaxFloatBlock) {
      return fail(ErrorKind::invalid, "{}: after e{}m{} comes nothing or :bN, N from 1 to {}", name,
                  *exponent, *mantissa, kMaxFloatBlock);
    }
    format.block = *block;
  }
  if (*exponent > kMaxExponentBits || *mantissa > kMaxMantissaBits || *exponent + *mantissa == 0) {
    return fail(ErrorKind::invalid,
                "{}: a float here has at most {} exponent and {} mantissa bits, and at least one",
                name, kMaxExponentBits, kMaxMantissaBits);
  }
  return std::optional(format);
}

namespace detail {

double largest_float(int exponent_bits, int mantissa_bits) {
  const double step = std::ldexp(1.0, -mantissa_bits);
  return exponent_bits > 0 ? 2 - step : 2 - 2 * step;
}

double round_to_float(double value, int exponent_bits, int mantissa_bits) {
  const double magnitude = std::abs(value);
  const int least = least_exponent(exponent_bits);
  const int exponent = magnitude > 0 ? std::max(std::ilogb(magnitude), least) : least;
  const double step = std::ldexp(1.0, exponent - mantissa_bits);
  const double rounded = std::nearbyint(magnitude / step) * step;
  return std::copysign(std::min(rounded, largest_float(exponent_bits, mantissa_bits)), value);
}

}  // namespace detail

void round_row(std::span<float> row, const EmulatedFloat& format) {
  const auto block = static_cast<std::size_t>(format.block);
  const double largest = detail::largest_float(format.exponent_bits, format.mantissa_bits);
  for (std::size_t at = 0; at < row.size(); at += block) {
    const auto part = row.subspan(at, std::min(block, row.size() - at));
    double peak = 0;
    for (const float value : part) peak = std::max(peak, static_cast<double>(std::abs(value)));
    const double scale = half_to_float(float_to_half(static_cast<float>(peak / largest)));
    for (float& value : part) {
      value = scale > 0 ? static_cast<float>(scale * detail::round_to_float(value / scale,
                                                                            format.exponent_bits,
                                                                            format.mantissa_bits))
                        : 0;
    }
  }
}

}  // namespace checkbit
