// IQ3_XXS: rows of 4 from a lattice of 256, 3.0625 bits per weight.
//
// w = scale / 4 * (2 s[i / 32] + 1) * sign * magnitude, magnitudes 4, 12, 20 .. 52, 62; s = 0
// .. 15.

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
  std::array<std::uint8_t, 64> rows;   ///< row numbers
  std::array<std::uint8_t, 32> signs;  ///< per 32 weights a little-endian word: 4 times 7 sign
                                       ///< bits, then s in 4 bits
};
static_assert(sizeof(Block) == 98);
static_assert(offsetof(Block, rows) == 2);
static_assert(offsetof(Block, signs) == 66);

void unpack(const std::uint8_t* bytes, IntegerBlock& out) {
  const auto block = load_unaligned<Block>(bytes);
  out.scale[0] = half_to_float(block.scale) * 0.25f;
  for (std::size_t g = 0; g < 8; ++g) {
    const auto word = load_unaligned<std::uint32_t>(block.signs.data() + 4 * g);
    out.sub_scale[g] = odd_scale(word >> 28);
    for (std::size_t pair = 0; pair < 4; ++pair) {  // one parity per two rows
      const unsigned signs = with_parity_sign(word >> (7 * pair));
      const std::uint8_t* rows = block.rows.data() + 8 * g + 2 * pair;
      std::uint8_t* q = out.q.data() + 32 * g + 8 * pair;
      put_signed_row(kIq3XxsGrid[rows[0]], signs, kOffset, q);
      put_signed_row(kIq3XxsGrid[rows[1]], signs >> 4, kOffset, q + 4);
    }
  }
}

using Unit = SignedUnit<kIq3XxsGrid, true>;
constexpr LatticeSpec kSpec = {.unit = 0.25f,
                               .group_elements = 32,
                               .subs = 16,
                               .starts = {0.027f, 0.033f, 0.0385f, 0.044f, 0.054f},
                               .lowest = 4};

void pack(const LatticeBlock<Unit>& found, Block& block) {
  block.scale = found.scale;
  for (std::size_t g = 0; g < 8; ++g) {
    std::uint32_t word = static_cast<std::uint32_t>(found.subs[g]) << 28;
    for (std::size_t pair = 0; pair < 4; ++pair) {
      const auto& code = found.codes[4 * g + pair];
      block.rows[8 * g + 2 * pair] = static_cast<std::uint8_t>(code.rows[0]);
      block.rows[8 * g + 2 * pair + 1] = static_cast<std::uint8_t>(code.rows[1]);
      word |= (code.signs & 0x7fu) << (7 * pair);
    }
    store_unaligned(block.signs.data() + 4 * g, word);
  }
}

void encode(const float* in, std::size_t n_blocks, const float* importance, std::uint8_t* blocks) {
  encode_lattice_blocks<Block, Unit, kSpec>(in, n_blocks, importance, blocks, pack);
}

}  // namespace

std::unique_ptr<UnitCoder> iq3_xxs_units() {
  return std::make_unique<LatticeUnitCoder<Block, Unit, kSpec, pack>>();
}

extern const Format iq3_xxs_format;
const Format iq3_xxs_format = {.name = "IQ3_XXS",
                               .type_id = 18,
                               .block_elements = 256,
                               .block_bytes = sizeof(Block),
                               .summary = "3.06 bits, rows of 4 from a lattice of 256",
                               .decode = decode_integer<iq3_xxs_format>,
                               .encode = encode,
                               .is_finite = half_at_is_finite<0>,
                               .integer = {.bits = 7,
                                           .q_offset = kOffset,
                                           .scale_elements = 256,
                                           .sub_elements = 32,
                                           .has_sub_scale = true,
                                           .activation_elements = 256},
                               .unpack = unpack};

}  // namespace checkbit
