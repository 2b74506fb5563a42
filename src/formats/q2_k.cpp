// Q2_K: 2-bit integers in blocks of 256, 2.625 bits per weight.
//
// w = scale * S[i / 16] * q - minimum * M[i / 16], q = 0 .. 3, S and M = 0 .. 15.

#include <cstddef>

#include "formats/bit_planes.h"
#include "formats/integer_form.h"
#include "formats/super_blocks.h"

namespace checkbit {
namespace {

struct Block {
  std::array<std::uint8_t, 16> subs;    ///< S low 4 bits, M high 4 bits, for each 16 weights
  std::array<std::uint8_t, 64> quants;  ///< per 128 weights 32 bytes: 2-bit planes of 32
  std::uint16_t scale;                  ///< binary16
  std::uint16_t minimum;                ///< binary16
};
static_assert(sizeof(Block) == 84);
static_assert(offsetof(Block, quants) == 16);
static_assert(offsetof(Block, scale) == 80);
static_assert(offsetof(Block, minimum) == 82);

void unpack(const std::uint8_t* bytes, IntegerBlock& out) {
  const auto block = load_unaligned<Block>(bytes);
  out.scale[0] = half_to_float(block.scale);
  out.min_scale[0] = half_to_float(block.minimum);
  for (int i = 0; i < 16; ++i) {
    out.sub_scale[i] = block.subs[i] & 15;
    out.sub_min[i] = block.subs[i] >> 4;
  }
  unpack_planes<2, 32, 64>(block.quants.data(), out.q.data());
}

constexpr SuperSpec kSpec{.levels = {0, 3}, .sub_elements = 16, .sub_low = 0, .sub_high = 15};

void encode(const float* in, std::size_t n_blocks, const float* importance, std::uint8_t* blocks) {
  encode_blocks<Block, 256>(in, n_blocks, importance, blocks, [](const Group& group, Block& block) {
    const SuperBlock best = encode_super_affine(group, kSpec);
    block.scale = best.scale;
    block.minimum = best.minimum;
    for (int i = 0; i < 16; ++i) {
      block.subs[i] = static_cast<std::uint8_t>(best.sub_scale[i] | (best.sub_min[i] << 4));
    }
    pack_planes<2, 32, 64>(best.q.data(), block.quants.data());
  });
}

}  // namespace

extern const Format q2_k_format;
const Format q2_k_format = {.name = "Q2_K",
                            .type_id = 10,
                            .block_elements = 256,
                            .block_bytes = sizeof(Block),
                            .summary = "2 bits in blocks of 256, 4-bit scale and minimum per 16",
                            .decode = decode_integer<q2_k_format>,
                            .encode = encode,
                            .is_finite = two_halves_are_finite<80, 82>,
                            .integer = {.bits = 2,
                                        .scale_elements = 256,
                                        .sub_elements = 16,
                                        .has_sub_scale = true,
                                        .has_min = true,
                                        .has_sub_min = true,
                                        .half_scales = true,
                                        .activation_elements = 256},
                            .unpack = unpack};

}  // namespace checkbit
