// IQ1_M: rows of 8 from a lattice of 2048, each with its own shift, 1.75 bits per weight.
//
// w = scale / 8 * (2 s[i / 16] + 1) * (8 row[i] +- 1), row = -1, 0, 1; s = 0 .. 7.
// The scale has no field of its own: its four hexadecimal digits are the top bits of `subs`.

#include <cstddef>

#include "formats/integer_form.h"
#include "formats/iq1_rows.h"
#include "formats/iq_rows.h"
#include "formats/lattice_blocks.h"
#include "formats/lattice_unit_coder.h"

namespace checkbit {
namespace {

struct Block {
  std::array<std::uint8_t, 32> rows;       ///< low 8 bits of the row numbers
  std::array<std::uint8_t, 16> high_bits;  ///< per row 4 bits, low half first: bits 8 .. 10 of its
                                           ///< number, then 1 for shifted down
  std::array<std::uint16_t, 4>
      subs;  ///< 4 times s in 3 bits, then 4 bits of the scale, lowest first
};
static_assert(sizeof(Block) == 56);
static_assert(offsetof(Block, high_bits) == 32);
static_assert(offsetof(Block, subs) == 48);

std::uint16_t scale_of(const Block& block) {
  unsigned half = 0;
  for (std::size_t i = 0; i < 4; ++i) half |= (block.subs[i] >> 12) << (4 * i);
  return static_cast<std::uint16_t>(half);
}

void unpack(const std::uint8_t* bytes, IntegerBlock& out) {
  const auto block = load_unaligned<Block>(bytes);
  out.scale[0] = half_to_float(scale_of(block)) * 0.125f;
  for (std::size_t g = 0; g < 16; ++g) {
    out.sub_scale[g] = odd_scale((block.subs[g / 4] >> (3 * (g % 4))) & 7u);
  }
  for (std::size_t row = 0; row < 32; ++row) {
    const unsigned head = (block.high_bits[row / 2] >> (4 * (row % 2))) & 15u;
    put_iq1_row(block.rows[row] | (head & 7u) << 8, (head & 8u) != 0, out.q.data() + 8 * row);
  }
}

bool is_finite(const std::uint8_t* block) {
  return half_is_finite(scale_of(load_unaligned<Block>(block)));
}

using Unit = ShiftedUnit<8>;
constexpr LatticeSpec kSpec = {
    .unit = 0.125f, .group_elements = 16, .subs = 8, .starts = {0.133f, 0.167f, 0.2f}, .lowest = 8};

void pack(const LatticeBlock<Unit>& found, Block& block) {
  for (std::size_t g = 0; g < 16; ++g) add_bits(block.subs[g / 4], found.subs[g], 3 * (g % 4));
  for (std::size_t i = 0; i < 4; ++i) add_bits(block.subs[i], (found.scale >> (4 * i)) & 15u, 12);
  for (std::size_t row = 0; row < 32; ++row) {
    const auto& code = found.codes[row];
    const unsigned head = code.rows[0] >> 8 | (code.down ? 8u : 0u);
    block.rows[row] = static_cast<std::uint8_t>(code.rows[0]);
    add_bits(block.high_bits[row / 2], head, 4 * (row % 2));
  }
}

void encode(const float* in, std::size_t n_blocks, const float* importance, std::uint8_t* blocks) {
  encode_lattice_blocks<Block, Unit, kSpec>(in, n_blocks, importance, blocks, pack);
}

}  // namespace

std::unique_ptr<UnitCoder> iq1_m_units() {
  return std::make_unique<LatticeUnitCoder<Block, Unit, kSpec, pack>>();
}

extern const Format iq1_m_format;
const Format iq1_m_format = {
    .name = "IQ1_M",
    .type_id = 29,
    .block_elements = 256,
    .block_bytes = sizeof(Block),
    .summary = "1.75 bits, rows of 8 from a lattice of 2048, shifts per row",
    .decode = decode_integer<iq1_m_format>,
    .encode = encode,
    .is_finite = is_finite,
    .integer = {.bits = 5,
                .q_offset = kIq1Offset,
                .scale_elements = 256,
                .sub_elements = 16,
                .has_sub_scale = true,
                .activation_elements = 256},
    .unpack = unpack};

}  // namespace checkbit
