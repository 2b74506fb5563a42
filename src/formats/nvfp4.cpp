// NVFP4: 4-bit floats (E2M1) under an 8-bit float scale per 16 weights, 4.5 bits per weight.
//
// w = scale / 2 * (kE2m1Table[code] - 12), scale unsigned E4M3 with bias 7: 0 .. 480.
// The top bit of a scale is ignored; 0x7f, which is NaN in E4M3, decodes to 0.

#include <cmath>
#include <cstddef>

#include "formats/bit_planes.h"
#include "formats/codebooks.h"
#include "formats/integer_form.h"
#include "formats/number_decode.h"

namespace checkbit {
namespace {

struct Block {
  std::array<std::uint8_t, 4> scales;  ///< of 16 weights each
  std::array<std::uint8_t, 32> codes;  ///< per 16 weights 8 bytes: code i low, code i + 8 high
};
static_assert(sizeof(Block) == 36);
static_assert(offsetof(Block, codes) == 4);

/// Half the value of an unsigned E4M3 byte, exact in binary16 too.
float half_e4m3(std::uint8_t byte) {
  if (byte == 0x7f) return 0.0f;
  const int exponent = (byte >> 3) & 15;
  const int mantissa = byte & 7;
  if (exponent == 0) return std::ldexp(static_cast<float>(mantissa), -10);
  return std::ldexp(static_cast<float>(8 + mantissa), exponent - 11);
}

void unpack(const std::uint8_t* bytes, IntegerBlock& out) {
  const auto block = load_unaligned<Block>(bytes);
  std::ranges::transform(block.scales, out.scale.begin(), half_e4m3);
  unpack_planes<4, 8, 32>(block.codes.data(), out.q.data());
  set_unit_subs(out);
}

}  // namespace

extern const Format nvfp4_format;
const Format nvfp4_format = {.name = "NVFP4",
                             .type_id = 40,
                             .block_elements = 64,
                             .block_bytes = sizeof(Block),
                             .summary = "4-bit floats, one 8-bit float scale per 16",
                             .decode = decode_integer<nvfp4_format>,
                             .is_finite = always_finite,
                             .integer = {.bits = 4,
                                         .q_offset = kE2m1Offset,
                                         .table = kE2m1Table.data(),
                                         .scale_elements = 16,
                                         .sub_elements = 16,
                                         .half_scales = true,
                                         .activation_elements = 32},
                             .unpack = unpack};

}  // namespace checkbit
