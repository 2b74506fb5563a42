// Q5_K: 5-bit integers in blocks of 256, 5.5 bits per weight.
//
// w = scale * S[i / 32] * q - minimum * M[i / 32], q = 0 .. 31, S and M = 0 .. 63.

#include <cstddef>

#include "formats/bit_planes.h"
#include "formats/integer_form.h"
#include "formats/k_scales.h"
#include "formats/super_blocks.h"

namespace checkbit {
namespace {

struct Block {
  std::uint16_t scale;                     ///< binary16
  std::uint16_t minimum;                   ///< binary16
  KScaleBytes subs;                        ///< S and M, see k_scales.h
  std::array<std::uint8_t, 32> high_bits;  ///< bit p of byte i: bit 4 of q[32 * p + i]
  std::array<std::uint8_t, 128> quants;    ///< low 4 bits; per 64 weights 32 bytes: planes of 32
};
static_assert(sizeof(Block) == 176);
static_assert(offsetof(Block, minimum) == 2);
static_assert(offsetof(Block, subs) == 4);
static_assert(offsetof(Block, high_bits) == 16);
static_assert(offsetof(Block, quants) == 48);

void unpack(const std::uint8_t* bytes, IntegerBlock& out) {
  const auto block = load_unaligned<Block>(bytes);
  out.scale[0] = half_to_float(block.scale);
  out.min_scale[0] = half_to_float(block.minimum);
  unpack_k_scales(block.subs, out.sub_scale.data(), out.sub_min.data());
  unpack_planes<4, 32, 128>(block.quants.data(), out.q.data());
  unpack_planes<1, 32, 32, 4>(block.high_bits.data(), out.q.data());
}

constexpr SuperSpec kSpec{.levels = {0, 31}, .sub_elements = 32, .sub_low = 0, .sub_high = 63};

void encode(const float* in, std::size_t n_blocks, const float* importance, std::uint8_t* blocks) {
  encode_blocks<Block, 256>(in, n_blocks, importance, blocks, [](const Group& group, Block& block) {
    const SuperBlock best = encode_super_affine(group, kSpec);
    block.scale = best.scale;
    block.minimum = best.minimum;
    block.subs = pack_k_scales(best.sub_scale.data(), best.sub_min.data());
    pack_planes<4, 32, 128>(best.q.data(), block.quants.data());
    pack_planes<1, 32, 32, 4>(best.q.data(), block.high_bits.data());
  });
}

}  // namespace

extern const Format q5_k_format;
const Format q5_k_format = {.name = "Q5_K",
                            .type_id = 13,
                            .block_elements = 256,
                            .block_bytes = sizeof(Block),
                            .summary = "5 bits in blocks of 256, 6-bit scale and minimum per 32",
                            .decode = decode_integer<q5_k_format>,
                            .encode = encode,
                            .is_finite = two_halves_are_finite<0, 2>,
                            .integer = {.bits = 5,
                                        .scale_elements = 256,
                                        .sub_elements = 32,
                                        .has_sub_scale = true,
                                        .has_min = true,
                                        .has_sub_min = true,
                                        .half_scales = true,
                                        .activation_elements = 256},
                            .unpack = unpack};

}  // namespace checkbit
