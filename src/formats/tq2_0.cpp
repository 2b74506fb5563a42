// TQ2_0: ternary weights in 2 bits each, 2.0625 bits per weight.
//
// w = scale * (q - 1), q = 0, 1, 2 (a stored 3 decodes to 2 * scale).

#include <cstddef>

#include "formats/bit_planes.h"
#include "formats/integer_form.h"
#include "formats/ternary_rounding.h"

namespace checkbit {
namespace {

struct Block {
  std::array<std::uint8_t, 64> quants;  ///< per 128 weights 32 bytes: 2-bit planes of 32
  std::uint16_t scale;                  ///< binary16
};
static_assert(sizeof(Block) == 66);
static_assert(offsetof(Block, scale) == 64);

void unpack(const std::uint8_t* bytes, IntegerBlock& out) {
  const auto block = load_unaligned<Block>(bytes);
  out.scale[0] = half_to_float(block.scale);
  unpack_planes<2, 32, 64>(block.quants.data(), out.q.data());
  set_unit_subs(out);
}

void encode(const float* in, std::size_t n_blocks, const float* importance, std::uint8_t* blocks) {
  encode_blocks<Block, 256>(in, n_blocks, importance, blocks, [](const Group& group, Block& block) {
    const auto rounded = round_to_ternary(group);
    block.scale = rounded.scale;
    pack_planes<2, 32, 64>(rounded.codes.data(), block.quants.data());
  });
}

}  // namespace

extern const Format tq2_0_format;
const Format tq2_0_format = {.name = "TQ2_0",
                             .type_id = 35,
                             .block_elements = 256,
                             .block_bytes = sizeof(Block),
                             .summary = "ternary in 2 bits, one scale per 256",
                             .decode = decode_integer<tq2_0_format>,
                             .encode = encode,
                             .is_finite = half_at_is_finite<64>,
                             .integer = {.bits = 2,
                                         .q_offset = 1,
                                         .scale_elements = 256,
                                         .sub_elements = 256,
                                         .half_scales = true,
                                         .activation_elements = 256},
                             .unpack = unpack,
                             .ternary = true};

}  // namespace checkbit
