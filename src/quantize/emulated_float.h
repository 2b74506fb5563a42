// Any small float with a shared scale, emulated: weights are rounded as it would round them.
//
// What: `e2m1:b32` has a sign, 2 exponent and 1 mantissa bits and one 16-bit scale per 32 weights.
//   All codes are numbers (no infinity, no NaN), the lowest exponent is subnormal; without exponent
//   bits the values are equal steps. The scale is the block's largest magnitude over the format's
//   largest value, rounded to binary16. Rounding is to nearest, ties to even.
// Blocks: do not cross rows; the last of a row may be shorter.
// Errors: invalid (not such a name, more than kMaxExponentBits or kMaxMantissaBits).
// Threads: pure functions.
// Reference: "Scaling Laws for Floating Point Quantization Training" (exponent, mantissa, block).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace checkbit {

inline constexpr int kMaxExponentBits = 8;
inline constexpr int kMaxMantissaBits = 7;
inline constexpr int kMaxFloatBlock = 1 << 16;

struct EmulatedFloat {
  int exponent_bits = 0;
  int mantissa_bits = 0;
  int block = 0;

  std::string name() const {
    return fmt::format("e{}m{}:b{}", exponent_bits, mantissa_bits, block);
  }
  /// Sign, exponent, mantissa and the share of the scale.
  double bits_per_weight() const { return 1 + exponent_bits + mantissa_bits + 16.0 / block; }
};

/// "e2m1" or "e2m1:b64"; without a block it is 0, for the caller to fill in. None: it does not look
/// like one at all.
Result<std::optional<EmulatedFloat>> parse_emulated_float(std::string_view name);

/// Precondition: 1 <= block.
void round_row(std::span<float> row, const EmulatedFloat& format);

namespace detail {
/// The nearest number of the format to `value`; its largest is just below 2.
double round_to_float(double value, int exponent_bits, int mantissa_bits);
double largest_float(int exponent_bits, int mantissa_bits);
}  // namespace detail

}  // namespace checkbit
