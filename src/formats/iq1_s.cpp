// IQ1_S: rows of 8 from a lattice of 2048, 1.5625 bits per weight.
//
// w = scale / 8 * (2 s[i / 32] + 1) * (8 row[i] +- 1), row = -1, 0, 1; s = 0 .. 7.

#include <cstddef>

#include "formats/integer_form.h"
#include "formats/iq1_rows.h"
#include "formats/iq_rows.h"
#include "formats/lattice_blocks.h"
#include "formats/lattice_unit_coder.h"

namespace checkbit {
namespace {

struct Block {
  std::uint16_t scale;                 ///< binary16
  std::array<std::uint8_t, 32> rows;   ///< low 8 bits of the row numbers
  std::array<std::uint16_t, 8> heads;  ///< per 32 weights: 4 times bits 8 .. 10 of a row number,
                                       ///< then s in 3 bits, then 1 for shifted down
};
static_assert(sizeof(Block) == 50);
static_assert(offsetof(Block, rows) == 2);
static_assert(offsetof(Block, heads) == 34);

void unpack(const std::uint8_t* bytes, IntegerBlock& out) {
  const auto block = load_unaligned<Block>(bytes);
  out.scale[0] = half_to_float(block.scale) * 0.125f;
  for (std::size_t g = 0; g < 8; ++g) {
    const unsigned head = block.heads[g];
    out.sub_scale[g] = odd_scale((head >> 12) & 7u);
    for (std::size_t row = 4 * g; row < 4 * g + 4; ++row) {
      const unsigned high = (head >> (3 * (row % 4))) & 7u;
      put_iq1_row(block.rows[row] | high << 8, (head & 0x8000u) != 0, out.q.data() + 8 * row);
    }
  }
}

using Unit = ShiftedUnit<32>;
constexpr LatticeSpec kSpec = {
    .unit = 0.125f, .group_elements = 32, .subs = 8, .starts = {0.133f, 0.167f, 0.2f}, .lowest = 8};

void pack(const LatticeBlock<Unit>& found, Block& block) {
  block.scale = found.scale;
  for (std::size_t g = 0; g < 8; ++g) {
    const auto& code = found.codes[g];
    unsigned head = static_cast<unsigned>(found.subs[g]) << 12 | (code.down ? 0x8000u : 0u);
    for (std::size_t row = 0; row < 4; ++row) {
      block.rows[4 * g + row] = static_cast<std::uint8_t>(code.rows[row]);
      head |= (code.rows[row] >> 8) << (3 * row);
    }
    block.heads[g] = static_cast<std::uint16_t>(head);
  }
}

void encode(const float* in, std::size_t n_blocks, const float* importance, std::uint8_t* blocks) {
  encode_lattice_blocks<Block, Unit, kSpec>(in, n_blocks, importance, blocks, pack);
}

}  // namespace

std::unique_ptr<UnitCoder> iq1_s_units() {
  return std::make_unique<LatticeUnitCoder<Block, Unit, kSpec, pack>>();
}

extern const Format iq1_s_format;
const Format iq1_s_format = {.name = "IQ1_S",
                             .type_id = 19,
                             .block_elements = 256,
                             .block_bytes = sizeof(Block),
                             .summary = "1.56 bits, rows of 8 from a lattice of 2048",
                             .decode = decode_integer<iq1_s_format>,
                             .encode = encode,
                             .is_finite = half_at_is_finite<0>,
                             .integer = {.bits = 5,
                                         .q_offset = kIq1Offset,
                                         .scale_elements = 256,
                                         .sub_elements = 32,
                                         .has_sub_scale = true,
                                         .activation_elements = 256},
                             .unpack = unpack};

}  // namespace checkbit
