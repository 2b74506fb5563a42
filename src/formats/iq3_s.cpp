// IQ3_S: rows of 4 from a lattice of 512, 3.4375 bits per weight.
//
// w = scale * (2 s[i / 32] + 1) * sign * magnitude, magnitudes 1, 3 .. 15; s = 0 .. 15.

#include <cstddef>

#include "formats/integer_form.h"
#include "formats/iq_grids.h"
#include "formats/iq_rows.h"
#include "formats/lattice_blocks.h"
#include "formats/lattice_unit_coder.h"

namespace checkbit {
namespace {

constexpr int kOffset = 16;

struct Block {
  std::uint16_t scale;                    ///< binary16
  std::array<std::uint8_t, 64> rows;      ///< low 8 bits of the row numbers
  std::array<std::uint8_t, 8> high_bits;  ///< bit 8 of eight row numbers per byte
  std::array<std::uint8_t, 32> signs;     ///< one bit per weight
  std::array<std::uint8_t, 4> subs;       ///< s, two per byte, low one first
};
static_assert(sizeof(Block) == 110);
static_assert(offsetof(Block, high_bits) == 66);
static_assert(offsetof(Block, signs) == 74);
static_assert(offsetof(Block, subs) == 106);

void unpack(const std::uint8_t* bytes, IntegerBlock& out) {
  const auto block = load_unaligned<Block>(bytes);
  out.scale[0] = half_to_float(block.scale);
  unpack_odd_scales(block.subs, out.sub_scale.data());
  for (std::size_t row = 0; row < 64; ++row) {
    const unsigned high = (block.high_bits[row / 8] >> (row % 8)) & 1u;
    const unsigned signs = block.signs[row / 2] >> (4 * (row % 2));
    put_signed_row(kIq3SGrid[block.rows[row] | high << 8], signs, kOffset, out.q.data() + 4 * row);
  }
}

using Unit = SignedUnit<kIq3SGrid, false>;
constexpr LatticeSpec kSpec = {.unit = 1,
                               .group_elements = 32,
                               .subs = 16,
                               .starts = {0.108f, 0.13f, 0.154f, 0.177f, 0.215f},
                               .lowest = 1};

void pack(const LatticeBlock<Unit>& found, Block& block) {
  block.scale = found.scale;
  pack_nibbles(found.subs, block.subs);
  for (std::size_t row = 0; row < 64; ++row) {
    const unsigned number = found.codes[row / 2].rows[row % 2];
    block.rows[row] = static_cast<std::uint8_t>(number);
    add_bits(block.high_bits[row / 8], number >> 8, row % 8);
  }
  for (std::size_t unit = 0; unit < 32; ++unit) block.signs[unit] = found.codes[unit].signs;
}

void encode(const float* in, std::size_t n_blocks, const float* importance, std::uint8_t* blocks) {
  encode_lattice_blocks<Block, Unit, kSpec>(in, n_blocks, importance, blocks, pack);
}

}  // namespace

std::unique_ptr<UnitCoder> iq3_s_units() {
  return std::make_unique<LatticeUnitCoder<Block, Unit, kSpec, pack>>();
}

extern const Format iq3_s_format;
const Format iq3_s_format = {.name = "IQ3_S",
                             .type_id = 21,
                             .block_elements = 256,
                             .block_bytes = sizeof(Block),
                             .summary = "3.44 bits, rows of 4 from a lattice of 512",
                             .decode = decode_integer<iq3_s_format>,
                             .encode = encode,
                             .is_finite = half_at_is_finite<0>,
                             .integer = {.bits = 5,
                                         .q_offset = kOffset,
                                         .scale_elements = 256,
                                         .sub_elements = 32,
                                         .has_sub_scale = true,
                                         .half_scales = true,
                                         .activation_elements = 256},
                             .unpack = unpack};

}  // namespace checkbit
