// Q3_K: 3-bit integers in blocks of 256, 3.4375 bits per weight.
//
// w = scale * (S[i / 16] - 32) * (q - 4), q = 0 .. 7, S = 0 .. 63.
// The 16 S stand in 12 bytes: byte j of 0 .. 7 holds the low 4 bits of S[j] and of S[j + 8]; byte
// 8 + j of 0 .. 3 holds the high 2 bits of S[j], S[j + 4], S[j + 8], S[j + 12], lowest first.

#include <cstddef>

#include "formats/bit_planes.h"
#include "formats/integer_form.h"
#include "formats/super_blocks.h"

namespace checkbit {
namespace {

struct Block {
  std::array<std::uint8_t, 32> high_bits;  ///< bit p of byte i: bit 2 of q[32 * p + i]
  std::array<std::uint8_t, 64> quants;     ///< low 2 bits of q; per 128 weights: planes of 32
  std::array<std::uint8_t, 12> subs;       ///< see above
  std::uint16_t scale;                     ///< binary16
};
static_assert(sizeof(Block) == 110);
static_assert(offsetof(Block, quants) == 32);
static_assert(offsetof(Block, subs) == 96);
static_assert(offsetof(Block, scale) == 108);

void unpack(const std::uint8_t* bytes, IntegerBlock& out) {
  const auto block = load_unaligned<Block>(bytes);
  out.scale[0] = half_to_float(block.scale);
  std::array<std::uint8_t, 16> subs;
  unpack_planes<4, 8, 8>(block.subs.data(), subs.data());
  unpack_planes<2, 4, 4, 4>(block.subs.data() + 8, subs.data());
  for (int i = 0; i < 16; ++i) out.sub_scale[i] = static_cast<std::int16_t>(subs[i] - 32);
  unpack_planes<2, 32, 64>(block.quants.data(), out.q.data());
  unpack_planes<1, 32, 32, 2>(block.high_bits.data(), out.q.data());
}

constexpr SuperSpec kSpec{.levels = {-4, 3}, .sub_elements = 16, .sub_low = -32, .sub_high = 31};

void encode(const float* in, std::size_t n_blocks, const float* importance, std::uint8_t* blocks) {
  encode_blocks<Block, 256>(in, n_blocks, importance, blocks, [](const Group& group, Block& block) {
    const SuperBlock best = encode_super_scaled(group, kSpec);
    block.scale = best.scale;
    std::uint8_t subs[16];
    for (int i = 0; i < 16; ++i) subs[i] = static_cast<std::uint8_t>(best.sub_scale[i] + 32);
    pack_planes<4, 8, 8>(subs, block.subs.data());
    pack_planes<2, 4, 4, 4>(subs, block.subs.data() + 8);
    pack_planes<2, 32, 64>(best.q.data(), block.quants.data());
    pack_planes<1, 32, 32, 2>(best.q.data(), block.high_bits.data());
  });
}

}  // namespace

extern const Format q3_k_format;
const Format q3_k_format = {.name = "Q3_K",
                            .type_id = 11,
                            .block_elements = 256,
                            .block_bytes = sizeof(Block),
                            .summary = "3 bits in blocks of 256, 6-bit scale per 16",
                            .decode = decode_integer<q3_k_format>,
                            .encode = encode,
                            .is_finite = half_at_is_finite<108>,
                            .integer = {.bits = 3,
                                        .q_offset = 4,
                                        .scale_elements = 256,
                                        .sub_elements = 16,
                                        .has_sub_scale = true,
                                        .half_scales = true,
                                        .activation_elements = 256},
                            .unpack = unpack};

}  // namespace checkbit
