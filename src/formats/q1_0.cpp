// Q1_0: the sign of each weight, one scale per 128 weights, 1.125 bits per weight.
//
// w = scale where the bit is set, -scale where it is clear: scale * (2 bit - 1).

#include <cstddef>

#include "formats/bit_planes.h"
#include "formats/integer_form.h"

namespace checkbit {
namespace {

struct Block {
  std::uint16_t scale;                ///< binary16
  std::array<std::uint8_t, 16> bits;  ///< weight 0 is the lowest bit of the first byte
};
static_assert(sizeof(Block) == 18);
static_assert(offsetof(Block, bits) == 2);

void unpack(const std::uint8_t* bytes, IntegerBlock& out) {
  const auto block = load_unaligned<Block>(bytes);
  out.scale[0] = half_to_float(block.scale);
  unpack_planes<1, 1, 16>(block.bits.data(), out.q.data());
  for (std::size_t i = 0; i < 128; ++i) out.q[i] = static_cast<std::uint8_t>(2 * out.q[i]);
  set_unit_subs(out);
}

}  // namespace

// `ternary` stands for "coarser than an ordinary model survives", which holds all the more here.
extern const Format q1_0_format;
const Format q1_0_format = {.name = "Q1_0",
                            .type_id = 41,
                            .block_elements = 128,
                            .block_bytes = sizeof(Block),
                            .summary = "1 bit (the sign), one scale per 128",
                            .decode = decode_integer<q1_0_format>,
                            .is_finite = half_at_is_finite<0>,
                            .integer = {.bits = 2,
                                        .q_offset = 1,
                                        .scale_elements = 128,
                                        .sub_elements = 128,
                                        .half_scales = true,
                                        .activation_elements = 128},
                            .unpack = unpack,
                            .ternary = true};

}  // namespace checkbit
