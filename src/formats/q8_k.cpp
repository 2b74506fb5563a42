// Q8_K: 8-bit integers with sums per 16, one float scale per 256 weights, 9.125 bits per weight.
//
// w = scale * quants[i]. Not a storage type in practice: programs use it for activations.

#include <cstddef>

#include "formats/integer_form.h"
#include "formats/signed_bytes.h"

namespace checkbit {
namespace {

struct Block {
  float scale;
  std::array<std::int8_t, 256> quants;
  std::array<std::int16_t, 16> sums;  ///< of 16 quants each; not needed to decode
};
static_assert(sizeof(Block) == 292);
static_assert(offsetof(Block, quants) == 4);
static_assert(offsetof(Block, sums) == 260);

void unpack(const std::uint8_t* bytes, IntegerBlock& out) {
  const auto block = load_unaligned<Block>(bytes);
  out.scale[0] = block.scale;
  unpack_signed_bytes(block.quants, out.q.data());
  set_unit_subs(out);
}

}  // namespace

extern const Format q8_k_format;
const Format q8_k_format = {.name = "Q8_K",
                            .type_id = 15,
                            .block_elements = 256,
                            .block_bytes = sizeof(Block),
                            .summary = "8 bits and their sums, one float scale per 256",
                            .decode = decode_integer<q8_k_format>,
                            .is_finite = float_scale_is_finite,
                            .integer = {.bits = 8,
                                        .q_offset = 128,
                                        .scale_elements = 256,
                                        .sub_elements = 256,
                                        .activation_elements = 256},
                            .unpack = unpack};

}  // namespace checkbit
