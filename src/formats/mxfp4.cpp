// MXFP4: 4-bit floats (E2M1) under one power of two per 32 weights, 4.25 bits per weight.
//
// w = 2^(exponent - 128) * (kE2m1Table[code] - 12): the table is doubled, the power halved.
// Reference: OCP Microscaling Formats (MX) Specification v1.0. There exponent 255 means NaN; the
// dequantizers in use take it as a number, and so do we, but is_finite refuses it.

#include <cmath>
#include <cstddef>

#include "formats/bit_planes.h"
#include "formats/codebooks.h"
#include "formats/integer_form.h"

namespace checkbit {

extern const Format mxfp4_format;

namespace {

struct Block {
  std::uint8_t exponent;
  std::array<std::uint8_t, 16> codes;  ///< byte i: code i low, code i + 16 high
};
static_assert(sizeof(Block) == 17);
static_assert(offsetof(Block, codes) == 1);

constexpr int kExponentBias = 128;  // of the halved power
constexpr int kNanExponent = 255;

void unpack(const std::uint8_t* bytes, IntegerBlock& out) {
  const auto block = load_unaligned<Block>(bytes);
  out.scale[0] = std::ldexp(1.0f, block.exponent - kExponentBias);
  unpack_planes<4, 16, 16>(block.codes.data(), out.q.data());
  set_unit_subs(out);
}

/// Also false when a value overflows, as it can for the three highest exponents.
bool is_finite(const std::uint8_t* block) {
  if (block[0] == kNanExponent) return false;
  std::array<float, 32> values;
  mxfp4_format.decode(block, 1, values.data());
  return std::ranges::all_of(values, [](float v) { return std::isfinite(v); });
}

}  // namespace

const Format mxfp4_format = {.name = "MXFP4",
                             .type_id = 39,
                             .block_elements = 32,
                             .block_bytes = sizeof(Block),
                             .summary = "4-bit floats, one power of two per 32",
                             .decode = decode_integer<mxfp4_format>,
                             .is_finite = is_finite,
                             .integer = {.bits = 4,
                                         .q_offset = kE2m1Offset,
                                         .table = kE2m1Table.data(),
                                         .scale_elements = 32,
                                         .sub_elements = 32,
                                         .activation_elements = 32},
                             .unpack = unpack};

}  // namespace checkbit
