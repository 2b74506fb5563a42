// Q6_K: 6-bit integers in blocks of 256, 6.5625 bits per weight.
//
// w = scale * subs[i / 16] * (q - 32), q = 0 .. 63, subs = -128 .. 127.

#include <cstddef>

#include "formats/bit_planes.h"
#include "formats/integer_form.h"
#include "formats/super_blocks.h"

namespace checkbit {
namespace {

struct Block {
  std::array<std::uint8_t, 128> quants;    ///< low 4 bits; per 128 weights 64 bytes: planes of 64
  std::array<std::uint8_t, 64> high_bits;  ///< bits 4 and 5; per 128 weights 32 bytes: planes of 32
  std::array<std::int8_t, 16> subs;
  std::uint16_t scale;  ///< binary16
};
static_assert(sizeof(Block) == 210);
static_assert(offsetof(Block, high_bits) == 128);
static_assert(offsetof(Block, subs) == 192);
static_assert(offsetof(Block, scale) == 208);

void unpack(const std::uint8_t* bytes, IntegerBlock& out) {
  const auto block = load_unaligned<Block>(bytes);
  out.scale[0] = half_to_float(block.scale);
  std::ranges::copy(block.subs, out.sub_scale.begin());
  unpack_planes<4, 64, 128>(block.quants.data(), out.q.data());
  unpack_planes<2, 32, 64, 4>(block.high_bits.data(), out.q.data());
}

constexpr SuperSpec kSpec{
    .levels = {-32, 31}, .sub_elements = 16, .sub_low = -128, .sub_high = 127};

void encode(const float* in, std::size_t n_blocks, const float* importance, std::uint8_t* blocks) {
  encode_blocks<Block, 256>(in, n_blocks, importance, blocks, [](const Group& group, Block& block) {
    const SuperBlock best = encode_super_scaled(group, kSpec);
    block.scale = best.scale;
    std::ranges::transform(best.sub_scale, block.subs.begin(),
                           [](int s) { return static_cast<std::int8_t>(s); });
    pack_planes<4, 64, 128>(best.q.data(), block.quants.data());
    pack_planes<2, 32, 64, 4>(best.q.data(), block.high_bits.data());
  });
}

}  // namespace

extern const Format q6_k_format;
const Format q6_k_format = {.name = "Q6_K",
                            .type_id = 14,
                            .block_elements = 256,
                            .block_bytes = sizeof(Block),
                            .summary = "6 bits in blocks of 256, 8-bit scale per 16",
                            .decode = decode_integer<q6_k_format>,
                            .encode = encode,
                            .is_finite = half_at_is_finite<208>,
                            .integer = {.bits = 6,
                                        .q_offset = 32,
                                        .scale_elements = 256,
                                        .sub_elements = 16,
                                        .has_sub_scale = true,
                                        .half_scales = true,
                                        .activation_elements = 256},
                            .unpack = unpack};

}  // namespace checkbit
