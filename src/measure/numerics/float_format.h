// Floats of any width, emulated in binary32.
//
// What: a `FloatFormat` has a number of exponent and mantissa bits; `round_to` gives the value of
//   that format nearest to a float, ties to even, with subnormals. Values beyond the largest finite
//   one become infinite or saturate, as the format says. 8 exponent and 23 mantissa bits are
//   binary32 itself: the identity, bit for bit.
// Overflow: as IEEE rounding does it: what would round to at least 2^(max exponent + 1) is beyond.
// Finite-only formats ("e4m3fn") have no infinity and spend the top exponent on numbers, all but
//   one mantissa of it; what is beyond becomes NaN there, or saturates.
// NaN stays NaN, zeros keep their sign. Threads: pure functions.
// Reference: "Exploration of Numerical Precision in Deep Neural Networks"; IEEE 754; "FP8 Formats
// for
//   Deep Learning" (finite-only).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace checkbit {

struct FloatFormat {
  int exponent_bits = 8;   ///< 2..8
  int mantissa_bits = 23;  ///< 0..23, without the leading one
  bool finite_only = false;
  bool saturate = false;  ///< the largest finite value instead of infinity or NaN

  float largest() const;
  /// The smallest normal value, 2^(1 - bias).
  float smallest_normal() const;
  int bits() const { return 1 + exponent_bits + mantissa_bits; }
  bool operator==(const FloatFormat&) const = default;
};

inline constexpr FloatFormat kBinary32 = {8, 23};
inline constexpr FloatFormat kBinary16 = {5, 10};
inline constexpr FloatFormat kBfloat16 = {8, 7};
inline constexpr FloatFormat kE5M2 = {5, 2};
inline constexpr FloatFormat kE4M3Fn = {4, 3, true};

/// "e5m10", with "fn" when finite-only and "s" when saturating.
std::string to_string(const FloatFormat& format);
/// The inverse, and the names fp32, fp16, bf16. nullopt when malformed or out of range.
std::optional<FloatFormat> parse_float_format(std::string_view text);

float round_to(const FloatFormat& format, float value);
void round_to(const FloatFormat& format, std::span<float> values);

}  // namespace checkbit
