// IQ4_NL: 4-bit codes into a fixed uneven table, one scale per 32 weights, 4.5 bits per weight.
//
// w = scale * (kIq4Table[code] - 128); the scale may be negative.

#include <cstddef>

#include "formats/bit_planes.h"
#include "formats/codebook_rounding.h"
#include "formats/codebooks.h"
#include "formats/integer_form.h"

namespace checkbit {
namespace {

struct Block {
  std::uint16_t scale;                 ///< binary16
  std::array<std::uint8_t, 16> codes;  ///< byte i: code i low, code i + 16 high
};
static_assert(sizeof(Block) == 18);
static_assert(offsetof(Block, codes) == 2);

void unpack(const std::uint8_t* bytes, IntegerBlock& out) {
  const auto block = load_unaligned<Block>(bytes);
  out.scale[0] = half_to_float(block.scale);
  unpack_planes<4, 16, 16>(block.codes.data(), out.q.data());
  set_unit_subs(out);
}

void encode(const float* in, std::size_t n_blocks, const float* importance, std::uint8_t* blocks) {
  encode_blocks<Block, 32>(in, n_blocks, importance, blocks, [](const Group& group, Block& block) {
    block.scale = best_codebook_half(group);
    std::array<std::uint8_t, 32> codes;
    codebook_codes(group, half_to_float(block.scale), codes.data());
    pack_planes<4, 16, 16>(codes.data(), block.codes.data());
  });
}

}  // namespace

extern const Format iq4_nl_format;
const Format iq4_nl_format = {.name = "IQ4_NL",
                              .type_id = 20,
                              .block_elements = 32,
                              .block_bytes = sizeof(Block),
                              .summary = "4 bits into an uneven table, one scale per 32",
                              .decode = decode_integer<iq4_nl_format>,
                              .encode = encode,
                              .is_finite = half_at_is_finite<0>,
                              .integer = {.bits = 4,
                                          .q_offset = kIq4Offset,
                                          .table = kIq4Table.data(),
                                          .scale_elements = 32,
                                          .sub_elements = 32,
                                          .half_scales = true,
                                          .activation_elements = 32},
                              .unpack = unpack};

}  // namespace checkbit
