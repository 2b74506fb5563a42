// IQ2_XS: rows of 8 from a lattice of 512, 2.3125 bits per weight.
//
// w = scale / 8 * (2 s[i / 16] + 1) * sign * magnitude, magnitudes 8, 25, 43; s = 0 .. 15.

#include <cstddef>

#include "formats/integer_form.h"
#include "formats/iq_grids.h"
#include "formats/iq_rows.h"
#include "formats/lattice_blocks.h"
#include "formats/lattice_unit_coder.h"

namespace checkbit {
namespace {

constexpr int kOffset = 64;

struct Block {
  std::uint16_t scale;                 ///< binary16
  std::array<std::uint16_t, 32> rows;  ///< row number in 9 bits, then 7 sign bits
  std::array<std::uint8_t, 8> subs;    ///< s, two per byte, low one first
};
static_assert(sizeof(Block) == 74);
static_assert(offsetof(Block, rows) == 2);
static_assert(offsetof(Block, subs) == 66);

void unpack(const std::uint8_t* bytes, IntegerBlock& out) {
  const auto block = load_unaligned<Block>(bytes);
  out.scale[0] = half_to_float(block.scale) * 0.125f;
  unpack_odd_scales(block.subs, out.sub_scale.data());
  for (std::size_t row = 0; row < 32; ++row) {
    const unsigned entry = block.rows[row];
    put_signed_row(kIq2XsGrid[entry & 511u], with_parity_sign(entry >> 9), kOffset,
                   out.q.data() + 8 * row);
  }
}

using Unit = SignedUnit<kIq2XsGrid, true>;
constexpr LatticeSpec kSpec = {.unit = 0.125f,
                               .group_elements = 16,
                               .subs = 16,
                               .starts = {0.035f, 0.0425f, 0.05f, 0.0575f, 0.07f},
                               .lowest = 8};

void pack(const LatticeBlock<Unit>& found, Block& block) {
  block.scale = found.scale;
  pack_nibbles(found.subs, block.subs);
  for (std::size_t row = 0; row < 32; ++row) {
    const auto& code = found.codes[row];
    block.rows[row] = static_cast<std::uint16_t>(code.rows[0] | (code.signs & 0x7f) << 9);
  }
}

void encode(const float* in, std::size_t n_blocks, const float* importance, std::uint8_t* blocks) {
  encode_lattice_blocks<Block, Unit, kSpec>(in, n_blocks, importance, blocks, pack);
}

}  // namespace

std::unique_ptr<UnitCoder> iq2_xs_units() {
  return std::make_unique<LatticeUnitCoder<Block, Unit, kSpec, pack>>();
}

extern const Format iq2_xs_format;
const Format iq2_xs_format = {.name = "IQ2_XS",
                              .type_id = 17,
                              .block_elements = 256,
                              .block_bytes = sizeof(Block),
                              .summary = "2.31 bits, rows of 8 from a lattice of 512",
                              .decode = decode_integer<iq2_xs_format>,
                              .encode = encode,
                              .is_finite = half_at_is_finite<0>,
                              .integer = {.bits = 7,
                                          .q_offset = kOffset,
                                          .scale_elements = 256,
                                          .sub_elements = 16,
                                          .has_sub_scale = true,
                                          .activation_elements = 256},
                              .unpack = unpack};

}  // namespace checkbit
