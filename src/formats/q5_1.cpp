// Q5_1: 5-bit integers, one scale and one minimum per 32 weights, 6 bits per weight.
//
// w = scale * q + minimum, q = 0 .. 31.

#include <cstddef>

#include "formats/bit_planes.h"
#include "formats/integer_form.h"
#include "formats/rounding.h"

namespace checkbit {
namespace {

struct Block {
  std::uint16_t scale;                    ///< binary16
  std::uint16_t minimum;                  ///< binary16
  std::array<std::uint8_t, 4> high_bits;  ///< bit i of the 32: bit 4 of q[i]
  std::array<std::uint8_t, 16> quants;    ///< byte i: low 4 bits of q[i], then of q[i + 16]
};
static_assert(sizeof(Block) == 24);
static_assert(offsetof(Block, minimum) == 2);
static_assert(offsetof(Block, high_bits) == 4);
static_assert(offsetof(Block, quants) == 8);

void unpack(const std::uint8_t* bytes, IntegerBlock& out) {
  const auto block = load_unaligned<Block>(bytes);
  out.scale[0] = half_to_float(block.scale);
  out.min_scale[0] = -half_to_float(block.minimum);
  unpack_planes<4, 16, 16>(block.quants.data(), out.q.data());
  unpack_planes<1, 1, 4, 4>(block.high_bits.data(), out.q.data());
  set_unit_subs(out);
}

constexpr Levels kLevels{0, 31};

void encode(const float* in, std::size_t n_blocks, const float* importance, std::uint8_t* blocks) {
  encode_blocks<Block, 32>(in, n_blocks, importance, blocks, [](const Group& group, Block& block) {
    std::uint8_t q[32];
    const HalfAffine best = best_half_affine(group, kLevels);
    block.scale = best.scale;
    block.minimum = best.offset;
    round_to_levels(group, kLevels, {half_to_float(best.scale), half_to_float(best.offset)}, q);
    pack_planes<4, 16, 16>(q, block.quants.data());
    pack_planes<1, 1, 4, 4>(q, block.high_bits.data());
  });
}

}  // namespace

extern const Format q5_1_format;
const Format q5_1_format = {.name = "Q5_1",
                            .type_id = 7,
                            .block_elements = 32,
                            .block_bytes = sizeof(Block),
                            .summary = "5 bits, one scale and one minimum per 32",
                            .decode = decode_integer<q5_1_format>,
                            .encode = encode,
                            .is_finite = two_halves_are_finite<0, 2>,
                            .integer = {.bits = 5,
                                        .scale_elements = 32,
                                        .sub_elements = 32,
                                        .has_min = true,
                                        .half_scales = true,
                                        .activation_elements = 32},
                            .unpack = unpack};

}  // namespace checkbit
