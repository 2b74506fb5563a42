// Q4_0: 4-bit integers, one scale per 32 weights, 4.5 bits per weight.
//
// w = scale * (q - 8), q = 0 .. 15; the scale may be negative.

#include <cstddef>

#include "formats/bit_planes.h"
#include "formats/integer_form.h"
#include "formats/rounding.h"

namespace checkbit {
namespace {

struct Block {
  std::uint16_t scale;                  ///< binary16
  std::array<std::uint8_t, 16> quants;  ///< byte i: q[i] low, q[i + 16] high
};
static_assert(sizeof(Block) == 18);
static_assert(offsetof(Block, quants) == 2);

void unpack(const std::uint8_t* bytes, IntegerBlock& out) {
  const auto block = load_unaligned<Block>(bytes);
  out.scale[0] = half_to_float(block.scale);
  unpack_planes<4, 16, 16>(block.quants.data(), out.q.data());
  set_unit_subs(out);
}

constexpr Levels kLevels{-8, 7};

void encode(const float* in, std::size_t n_blocks, const float* importance, std::uint8_t* blocks) {
  encode_blocks<Block, 32>(in, n_blocks, importance, blocks, [](const Group& group, Block& block) {
    std::uint8_t q[32];
    block.scale = best_half_scale(group, kLevels);
    round_to_levels(group, kLevels, {half_to_float(block.scale), 0}, q);
    pack_planes<4, 16, 16>(q, block.quants.data());
  });
}

}  // namespace

extern const Format q4_0_format;
const Format q4_0_format = {.name = "Q4_0",
                            .type_id = 2,
                            .block_elements = 32,
                            .block_bytes = sizeof(Block),
                            .summary = "4 bits, one scale per 32",
                            .decode = decode_integer<q4_0_format>,
                            .encode = encode,
                            .is_finite = half_at_is_finite<0>,
                            .integer = {.bits = 4,
                                        .q_offset = 8,
                                        .scale_elements = 32,
                                        .sub_elements = 32,
                                        .half_scales = true,
                                        .activation_elements = 32},
                            .unpack = unpack};

}  // namespace checkbit
