// IQ2_XXS: rows of 8 from a lattice of 256, 2.0625 bits per weight.
//
// w = scale / 8 * (2 s[i / 32] + 1) * sign * magnitude, magnitudes 8, 25, 43; s = 0 .. 15.

#include <cstddef>

#include "formats/integer_form.h"
#include "formats/iq_grids.h"
#include "formats/iq_rows.h"
#include "formats/lattice_blocks.h"
#include "formats/lattice_unit_coder.h"

namespace checkbit {
namespace {

constexpr int kOffset = 64;

struct Group32 {                      // 32 weights
  std::array<std::uint8_t, 4> rows;   ///< row numbers
  std::array<std::uint8_t, 4> signs;  ///< little-endian word: 4 times 7 sign bits, then s in 4 bits
};

struct Block {
  std::uint16_t scale;                                   ///< binary16
  std::array<std::uint8_t, 8 * sizeof(Group32)> groups;  ///< Group32[8]
};
static_assert(sizeof(Block) == 66);
static_assert(offsetof(Block, groups) == 2);

void unpack(const std::uint8_t* bytes, IntegerBlock& out) {
  const auto block = load_unaligned<Block>(bytes);
  out.scale[0] = half_to_float(block.scale) * 0.125f;
  for (std::size_t g = 0; g < 8; ++g) {
    const auto group = load_unaligned<Group32>(block.groups.data() + g * sizeof(Group32));
    const auto signs = load_unaligned<std::uint32_t>(group.signs.data());
    out.sub_scale[g] = odd_scale(signs >> 28);
    for (std::size_t row = 0; row < 4; ++row) {
      put_signed_row(kIq2XxsGrid[group.rows[row]], with_parity_sign(signs >> (7 * row)), kOffset,
                     out.q.data() + 32 * g + 8 * row);
    }
  }
}

using Unit = SignedUnit<kIq2XxsGrid, true>;
constexpr LatticeSpec kSpec = {.unit = 0.125f,
                               .group_elements = 32,
                               .subs = 16,
                               .starts = {0.035f, 0.0425f, 0.05f, 0.0575f, 0.07f},
                               .lowest = 8};

void pack(const LatticeBlock<Unit>& found, Block& block) {
  block.scale = found.scale;
  for (std::size_t g = 0; g < 8; ++g) {
    Group32 group;
    std::uint32_t signs = static_cast<std::uint32_t>(found.subs[g]) << 28;
    for (std::size_t row = 0; row < 4; ++row) {
      const auto& code = found.codes[4 * g + row];
      group.rows[row] = static_cast<std::uint8_t>(code.rows[0]);
      signs |= (code.signs & 0x7fu) << (7 * row);
    }
    store_unaligned(group.signs.data(), signs);
    store_unaligned(block.groups.data() + g * sizeof(group), group);
  }
}

void encode(const float* in, std::size_t n_blocks, const float* importance, std::uint8_t* blocks) {
  encode_lattice_blocks<Block, Unit, kSpec>(in, n_blocks, importance, blocks, pack);
}

}  // namespace

std::unique_ptr<UnitCoder> iq2_xxs_units() {
  return std::make_unique<LatticeUnitCoder<Block, Unit, kSpec, pack>>();
}

extern const Format iq2_xxs_format;
const Format iq2_xxs_format = {.name = "IQ2_XXS",
                               .type_id = 16,
                               .block_elements = 256,
                               .block_bytes = sizeof(Block),
                               .summary = "2.06 bits, rows of 8 from a lattice of 256",
                               .decode = decode_integer<iq2_xxs_format>,
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
