// CB3, our own: 3-bit integers in groups of 32, 3.5 bits per weight.
//
// For rows that 256 does not divide, where GGUF's standard types end at 4.5 bits.
// w = d * (q - o / 16), q = 0 .. 7; d and o are packed in `head` (checkbit_groups.h).
// Layout with byte offsets and an example: docs/formats/own.md.

#include <cstddef>

#include "formats/bit_planes.h"
#include "formats/checkbit_groups.h"
#include "formats/integer_form.h"

namespace checkbit {
namespace {

constexpr int kBits = 3;

struct Block {
  std::uint16_t head;
  std::array<std::uint8_t, 8> quants;     ///< low 2 bits: planes of 8
  std::array<std::uint8_t, 4> high_bits;  ///< bit i of the 32: bit 2 of q[i]
};
static_assert(sizeof(Block) == 14);
static_assert(offsetof(Block, quants) == 2);
static_assert(offsetof(Block, high_bits) == 10);

void unpack(const std::uint8_t* bytes, IntegerBlock& out) {
  const auto block = load_unaligned<Block>(bytes);
  unpack_group_head<kBits>(block.head, out);
  unpack_planes<2, 8, 8>(block.quants.data(), out.q.data());
  unpack_planes<1, 1, 4, 2>(block.high_bits.data(), out.q.data());
}

void encode(const float* in, std::size_t n_blocks, const float* importance, std::uint8_t* blocks) {
  encode_blocks<Block, 32>(in, n_blocks, importance, blocks, [](const Group& group, Block& block) {
    std::uint8_t q[32];
    const GroupHead best = best_group_head(group, kBits);
    block.head = best.head;
    round_to_levels(group, {0, (1 << kBits) - 1}, best.affine, q);
    pack_planes<2, 8, 8>(q, block.quants.data());
    pack_planes<1, 1, 4, 2>(q, block.high_bits.data());
  });
}

}  // namespace

extern const Format cb3_format;
const Format cb3_format = {
    .name = "CB3",
    .type_id = kOwnFormatBase + 3,
    .block_elements = 32,
    .block_bytes = sizeof(Block),
    .summary = "3 bits, one 9-bit scale and 7-bit offset per 32 (Checkbit only)",
    .decode = decode_integer<cb3_format>,
    .encode = encode,
    .is_finite = group_head_is_finite,
    .integer = group_integer_form(kBits),
    .unpack = unpack,
    .own = true};

}  // namespace checkbit
