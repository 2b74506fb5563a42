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
#include <string_view>

#include "base/float16.h"
#include "formats/format.h"
#include "formats/integer_form.h"
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

/// `Format::unpack`. A Block has kBits, the `head`, and unpack and pack for its 32 integers.
template <class Block>
void unpack_group(const std::uint8_t* bytes, IntegerBlock& out) {
  const auto block = load_unaligned<Block>(bytes);
  unpack_group_head<Block::kBits>(block.head, out);
  block.unpack(out.q.data());
}

/// `Format::encode`.
template <class Block>
void encode_groups(const float* in, std::size_t n_blocks, const float* importance,
                   std::uint8_t* blocks) {
  encode_blocks<Block, 32>(in, n_blocks, importance, blocks, [](const Group& group, Block& block) {
    std::uint8_t q[32];
    const GroupHead best = best_group_head(group, Block::kBits);
    block.head = best.head;
    round_to_levels(group, {0, (1 << Block::kBits) - 1}, best.affine, q);
    block.pack(q);
  });
}

/// The record of the format with this block.
template <class Block, const Format& kFormat>
constexpr Format group_format(std::string_view name, std::string_view summary) {
  return {.name = name,
          .type_id = kOwnFormatBase + Block::kBits,
          .block_elements = 32,
          .block_bytes = sizeof(Block),
          .summary = summary,
          .decode = decode_integer<kFormat>,
          .encode = encode_groups<Block>,
          .is_finite = group_head_is_finite,
          .integer = group_integer_form(Block::kBits),
          .unpack = unpack_group<Block>,
          .own = true};
}

}  // namespace checkbit
