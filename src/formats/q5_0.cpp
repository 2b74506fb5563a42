// Q5_0: 5-bit integers, one scale per 32 weights, 5.5 bits per weight.
//
// w = scale * (q - 16), q = 0 .. 31; the scale may be negative.

#include <cstddef>

#include "formats/bit_planes.h"
#include "formats/integer_form.h"
#include "formats/rounding.h"

namespace checkbit {
namespace {

struct Block {
  std::uint16_t scale;                    ///< binary16
  std::array<std::uint8_t, 4> high_bits;  ///< bit i of the 32: bit 4 of q[i]
  std::array<std::uint8_t, 16> quants;    ///< byte i: low 4 bits of q[i], then of q[i + 16]
};
static_assert(sizeof(Block) == 22);
static_assert(offsetof(Block, high_bits) == 2);
static_assert(offsetof(Block, quants) == 6);

void unpack(const std::uint8_t* bytes, IntegerBlock& out) {
  const auto block = load_unaligned<Block>(bytes);
  out.scale[0] = half_to_float(block.scale);
  unpack_planes<4, 16, 16>(block.quants.data(), out.q.data());
  unpack_planes<1, 1, 4, 4>(block.high_bits.data(), out.q.data());
  set_unit_subs(out);
}

constexpr Levels kLevels{-16, 15};

void encode(const float* in, std::size_t n_blocks, const float* importance, std::uint8_t* blocks) {
  encode_blocks<Block, 32>(in, n_blocks, importance, blocks, [](const Group& group, Block& block) {
    std::uint8_t q[32];
    block.scale = best_half_scale(group, kLevels);
    round_to_levels(group, kLevels, {half_to_float(block.scale), 0}, q);
    pack_planes<4, 16, 16>(q, block.quants.data());
    pack_planes<1, 1, 4, 4>(q, block.high_bits.data());
  });
}

}  // namespace

extern const Format q5_0_format;
const Format q5_0_format = {.name = "Q5_0",
                            .type_id = 6,
                            .block_elements = 32,
                            .block_bytes = sizeof(Block),
                            .summary = "5 bits, one scale per 32",
                            .decode = decode_integer<q5_0_format>,
                            .encode = encode,
                            .is_finite = half_at_is_finite<0>,
                            .integer = {.bits = 5,
                                        .q_offset = 16,
                                        .scale_elements = 32,
                                        .sub_elements = 32,
                                        .half_scales = true,
                                        .activation_elements = 32},
                            .unpack = unpack};

}  // namespace checkbit
