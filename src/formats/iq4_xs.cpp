// IQ4_XS: 4-bit codes into a fixed uneven table in blocks of 256, 4.25 bits per weight.
//
// w = scale * (s[i / 32] - 32) * (kIq4Table[code] - 128), s = 0 .. 63.

#include <cstddef>

#include "formats/bit_planes.h"
#include "formats/codebooks.h"
#include "formats/integer_form.h"

namespace checkbit {
namespace {

struct Block {
  std::uint16_t scale;                  ///< binary16
  std::uint16_t high_subs;              ///< bits 4 and 5 of s, group 0 lowest
  std::array<std::uint8_t, 4> subs;     ///< low 4 bits of s, two per byte, low one first
  std::array<std::uint8_t, 128> codes;  ///< per 32 weights 16 bytes: code i low, code i + 16 high
};
static_assert(sizeof(Block) == 136);
static_assert(offsetof(Block, high_subs) == 2);
static_assert(offsetof(Block, subs) == 4);
static_assert(offsetof(Block, codes) == 8);

void unpack(const std::uint8_t* bytes, IntegerBlock& out) {
  const auto block = load_unaligned<Block>(bytes);
  out.scale[0] = half_to_float(block.scale);
  for (std::size_t g = 0; g < 8; ++g) {
    const int low = (block.subs[g / 2] >> (4 * (g % 2))) & 15;
    const int high = (block.high_subs >> (2 * g)) & 3;
    out.sub_scale[g] = static_cast<std::int16_t>((low | high << 4) - 32);
  }
  unpack_planes<4, 16, 128>(block.codes.data(), out.q.data());
}

}  // namespace

extern const Format iq4_xs_format;
const Format iq4_xs_format = {.name = "IQ4_XS",
                              .type_id = 23,
                              .block_elements = 256,
                              .block_bytes = sizeof(Block),
                              .summary = "4 bits into an uneven table, 6-bit scale per 32",
                              .decode = decode_integer<iq4_xs_format>,
                              .is_finite = half_at_is_finite<0>,
                              .integer = {.bits = 4,
                                          .q_offset = kIq4Offset,
                                          .table = kIq4Table.data(),
                                          .scale_elements = 256,
                                          .sub_elements = 32,
                                          .has_sub_scale = true,
                                          .half_scales = true,
                                          .activation_elements = 256},
                              .unpack = unpack};

}  // namespace checkbit
