// Q8_1: 8-bit integers with their sum, one float scale per 32 weights, 10 bits per weight.
//
// w = scale * quants[i]. Not a storage type in practice: programs use it for activations.
// The size is that of the gguf Python package, 40 bytes with two binary32 fields. (llama.cpp has
// since made both fields binary16 and the block 36 bytes, and writes no file with it.)

#include <cstddef>

#include "formats/integer_form.h"
#include "formats/signed_bytes.h"

namespace checkbit {
namespace {

struct Block {
  float scale;
  float sum;  ///< scale * sum of quants; not needed to decode
  std::array<std::int8_t, 32> quants;
};
static_assert(sizeof(Block) == 40);
static_assert(offsetof(Block, quants) == 8);

void unpack(const std::uint8_t* bytes, IntegerBlock& out) {
  const auto block = load_unaligned<Block>(bytes);
  out.scale[0] = block.scale;
  unpack_signed_bytes(block.quants, out.q.data());
  set_unit_subs(out);
}

}  // namespace

extern const Format q8_1_format;
const Format q8_1_format = {.name = "Q8_1",
                            .type_id = 9,
                            .block_elements = 32,
                            .block_bytes = sizeof(Block),
                            .summary = "8 bits and their sum, one float scale per 32",
                            .decode = decode_integer<q8_1_format>,
                            .is_finite = float_scale_is_finite,
                            .integer = {.bits = 8,
                                        .q_offset = 128,
                                        .scale_elements = 32,
                                        .sub_elements = 32,
                                        .activation_elements = 32},
                            .unpack = unpack};

}  // namespace checkbit
