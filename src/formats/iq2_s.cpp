// IQ2_S: rows of 8 from a lattice of 1024, 2.5625 bits per weight.
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
  std::uint16_t scale;                    ///< binary16
  std::array<std::uint8_t, 32> rows;      ///< low 8 bits of the row numbers
  std::array<std::uint8_t, 32> signs;     ///< one bit per weight
  std::array<std::uint8_t, 8> high_bits;  ///< bits 8 and 9 of four row numbers per byte
  std::array<std::uint8_t, 8> subs;       ///< s, two per byte, low one first
};
static_assert(sizeof(Block) == 82);
static_assert(offsetof(Block, signs) == 34);
static_assert(offsetof(Block, high_bits) == 66);
static_assert(offsetof(Block, subs) == 74);

void unpack(const std::uint8_t* bytes, IntegerBlock& out) {
  const auto block = load_unaligned<Block>(bytes);
  out.scale[0] = half_to_float(block.scale) * 0.125f;
  unpack_odd_scales(block.subs, out.sub_scale.data());
  for (std::size_t row = 0; row < 32; ++row) {
    const unsigned high = (block.high_bits[row / 4] >> (2 * (row % 4))) & 3u;
    put_signed_row(kIq2SGrid[block.rows[row] | high << 8], block.signs[row], kOffset,
                   out.q.data() + 8 * row);
  }
}

using Unit = SignedUnit<kIq2SGrid, false>;
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
    block.rows[row] = static_cast<std::uint8_t>(code.rows[0]);
    block.signs[row] = code.signs;
    add_bits(block.high_bits[row / 4], code.rows[0] >> 8, 2 * (row % 4));
  }
}

void encode(const float* in, std::size_t n_blocks, const float* importance, std::uint8_t* blocks) {
  encode_lattice_blocks<Block, Unit, kSpec>(in, n_blocks, importance, blocks, pack);
}

}  // namespace

std::unique_ptr<UnitCoder> iq2_s_units() {
  return std::make_unique<LatticeUnitCoder<Block, Unit, kSpec, pack>>();
}

extern const Format iq2_s_format;
const Format iq2_s_format = {.name = "IQ2_S",
                             .type_id = 22,
                             .block_elements = 256,
                             .block_bytes = sizeof(Block),
                             .summary = "2.56 bits, rows of 8 from a lattice of 1024",
                             .decode = decode_integer<iq2_s_format>,
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
