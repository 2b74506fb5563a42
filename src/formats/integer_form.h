// What the integer formats share: decode by way of the integer form, and scale checks.
//
// What: `decode_integer<record>` is the `decode` of every format whose reference dequantizer
// computes
//   (scale * sub_scale) * (q - q_offset) - (min_scale * sub_min) in float, in that order.
// Threads: pure functions.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "base/float16.h"
#include "formats/format.h"

namespace checkbit {

/// False for infinity and NaN.
inline bool half_is_finite(std::uint16_t half) { return (half & 0x7c00u) != 0x7c00u; }

/// `Format::is_finite` of a block whose only scale is the half at byte kOffset.
template <std::size_t kOffset>
bool half_at_is_finite(const std::uint8_t* block) {
  return half_is_finite(load_unaligned<std::uint16_t>(block + kOffset));
}

/// The same for two halves.
template <std::size_t kFirst, std::size_t kSecond>
bool two_halves_are_finite(const std::uint8_t* block) {
  return half_at_is_finite<kFirst>(block) && half_at_is_finite<kSecond>(block);
}

/// Sets the sub-scales and sub-minima of a format that has none: all are 1.
inline void set_unit_subs(IntegerBlock& block) {
  block.sub_scale.fill(1);
  block.sub_min.fill(1);
}

/// Integer form [1 block of `block_elements`] -> out [block_elements].
void decode_integer_block(const IntegerForm& form, int block_elements, const IntegerBlock& block,
                          float* out);

/// `Format::decode` through `Format::unpack`.
template <const Format& kFormat>
void decode_integer(const std::uint8_t* blocks, std::size_t n_blocks, float* out) {
  IntegerBlock block;
  for (std::size_t i = 0; i < n_blocks; ++i) {
    kFormat.unpack(blocks + i * kFormat.block_bytes, block);
    decode_integer_block(kFormat.integer, kFormat.block_elements, block,
                         out + i * kFormat.block_elements);
  }
}

}  // namespace checkbit
