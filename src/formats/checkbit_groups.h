// What our own formats CB2, CB3 and CB4 share: the 16-bit head of a group of 32 weights.
//
// The head, little endian:  bits 15..7  the scale d, an unsigned float of 5 exponent and 4 mantissa
// bits
//                                       (a binary16 without sign and without its lowest six bits)
//                           bits  6..0  the offset o, 0 .. 127
// and  w = d * (q - o / kOffsetUnits)  with q = 0 .. 2^bits - 1 and kOffsetUnits = 128 / 2^bits, so
// that the lowest level lies anywhere between 0 and -2^bits steps. Five significant bits in d times
// at most ten in the bracket: every weight is exact in binary32.
// Why a scale and an offset where llama.cpp's 4.5-bit type has a scale alone: 32 weights are few,
// so their smallest and largest values are rarely opposite; on real weights the squared error is 15
// % less at 2 bits, 30 % at 3 and 40 % at 4. A scale needs no more than 5 significant bits because
// the encoder fits levels and offset to the rounded scale. Threads: pure functions.
#pragma once

#include <cstdint>

#include "base/float16.h"
#include "formats/format.h"
#include "formats/rounding.h"

namespace checkbit {

/// The scale as the binary16 it abbreviates: infinite or NaN when its exponent bits are all ones.
inline std::uint16_t group_head_half(std::uint16_t head) {
  return static_cast<std::uint16_t>((head & 0xff80u) >> 1);
}

/// `Format::is_finite` of a block that starts with a head.
bool group_head_is_finite(const std::uint8_t* block);

/// Offset steps per level step.
template <int kBits>
inline constexpr int kOffsetUnits = 128 >> kBits;

/// Integer form of the head.
template <int kBits>
inline void unpack_group_head(std::uint16_t head, IntegerBlock& out) {
  out.scale[0] = half_to_float(group_head_half(head));
  out.min_scale[0] = out.scale[0] / kOffsetUnits<kBits>;
  out.sub_scale.fill(1);
  out.sub_min.fill(head & 127);
}

/// The integer form of the three formats but for `bits`.
constexpr IntegerForm group_integer_form(int bits) {
  return {.bits = bits,
          .scale_elements = 32,
          .sub_elements = 32,
          .has_min = true,
          .has_sub_min = true,
          .min_ratio = 1.0f / static_cast<float>(128 >> bits),
          .half_scales = true,
          .activation_elements = 32};
}

/// The head with least error for a group of 32; `affine` is what it decodes to.
struct GroupHead {
  std::uint16_t head = 0;
  Affine affine;
};
GroupHead best_group_head(const Group& group, int bits);

}  // namespace checkbit
