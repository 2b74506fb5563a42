// Q8_0: 8-bit integers, one scale per 32 weights, 8.5 bits per weight.
//
// w = scale * quants[i], -128 .. 127 (the encoder uses -127 .. 127).

#include <cstddef>

#include "formats/bit_planes.h"
#include "formats/integer_form.h"
#include "formats/rounding.h"

namespace checkbit {
namespace {

struct Block {
  std::uint16_t scale;  ///< binary16
  std::array<std::int8_t, 32> quants;
};
static_assert(sizeof(Block) == 34);
static_assert(offsetof(Block, quants) == 2);

void unpack(const std::uint8_t* bytes, IntegerBlock& out) {
  const auto block = load_unaligned<Block>(bytes);
  out.scale[0] = half_to_float(block.scale);
  for (int i = 0; i < 32; ++i) out.q[i] = static_cast<std::uint8_t>(block.quants[i] + 128);
  set_unit_subs(out);
}

constexpr Levels kLevels{-127, 127};

void encode(const float* in, std::size_t n_blocks, const float* importance, std::uint8_t* blocks) {
  encode_blocks<Block, 32>(in, n_blocks, importance, blocks, [](const Group& group, Block& block) {
    std::uint8_t q[32];
    block.scale = best_half_scale(group, kLevels);
    round_to_levels(group, kLevels, {half_to_float(block.scale), 0}, q);
    for (int i = 0; i < 32; ++i) block.quants[i] = static_cast<std::int8_t>(q[i] - 127);
  });
}

}  // namespace

extern const Format q8_0_format;
const Format q8_0_format = {.name = "Q8_0",
                            .type_id = 8,
                            .block_elements = 32,
                            .block_bytes = sizeof(Block),
                            .summary = "8 bits, one scale per 32",
                            .decode = decode_integer<q8_0_format>,
                            .encode = encode,
                            .is_finite = half_at_is_finite<0>,
                            .integer = {.bits = 8,
                                        .q_offset = 128,
                                        .scale_elements = 32,
                                        .sub_elements = 32,
                                        .half_scales = true,
                                        .activation_elements = 32},
                            .unpack = unpack};

}  // namespace checkbit
