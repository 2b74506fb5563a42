// Rounding to scale * value, value one of the 16 of IQ4_NL and IQ4_XS.
//
// What: a group of 32 weights gets the scale and codes of least weighted squared error
//     sum of weights[i] * (values[i] - scale * value[codes[i]])^2.
//   The scale is searched: the largest weight is laid on each outer table value in turn, the codes
//   that follow give a least-squares scale, and the best of these is refitted until it stays.
// Preconditions: values finite and at most about 1e9 in size, weights 0 .. 1 (load_codebook_groups
//   sees to both), so that no sum overflows.
// Threads: pure functions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace checkbit {

inline constexpr std::size_t kCodebookGroup = 32;

struct CodebookGroup {
  std::array<float, kCodebookGroup> values;
  std::array<float, kCodebookGroup> weights;
};

/// Clamps in [32 * groups] to +-largest, and divides the importance by its maximum. Null or zero
/// importance counts every value alike.
void load_codebook_groups(const float* in, const float* importance, float largest,
                          std::span<CodebookGroup> groups);

/// Weighted sums over the codes nearest to values / scale, q being their table values.
struct CodebookSums {
  float qx = 0.0f;  ///< sum of weights * q * values
  float qq = 0.0f;  ///< sum of weights * q * q
  /// The scale of least error for these codes; 0 when nothing counts.
  float best_scale() const { return qq > 0.0f ? qx / qq : 0.0f; }
};
CodebookSums codebook_sums(const CodebookGroup& group, float scale);

/// The weighted squared error at a scale (0 allowed) with the nearest codes.
float codebook_error(const CodebookGroup& group, float scale);

/// The nearest codes -> codes [32]. A zero scale gives the code of +1, so that zeros decode to +0.
void codebook_codes(const CodebookGroup& group, float scale, std::uint8_t* codes);

/// The scale of least error found, of either sign. `round` turns a wished scale into one that can
/// be stored. 0 when all values round to nothing.
float search_codebook_scale(const CodebookGroup& group, float (*round)(float));

/// Nearest binary16 value, kept finite.
float round_to_finite_half(float value);

}  // namespace checkbit
