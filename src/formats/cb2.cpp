// CB2, our own: 2-bit integers in groups of 32, 2.5 bits per weight.
//
// For rows that 256 does not divide, where GGUF's standard types end at 4.5 bits.
// w = d * (q - o / 32), q = 0 .. 3; d and o are packed in `head` (checkbit_groups.h).
// Layout with byte offsets and an example: docs/formats/own.md.

#include <cstddef>

#include "formats/bit_planes.h"
#include "formats/checkbit_groups.h"
#include "formats/integer_form.h"

namespace checkbit {
namespace {

constexpr int kBits = 2;

struct Block {
  std::uint16_t head;
  std::array<std::uint8_t, 8> quants;  ///< 2-bit planes of 8
};
static_assert(sizeof(Block) == 10);
static_assert(offsetof(Block, quants) == 2);

void unpack(const std::uint8_t* bytes, IntegerBlock& out) {
  const auto block = load_unaligned<Block>(bytes);
  unpack_group_head<kBits>(block.head, out);
  unpack_planes<2, 8, 8>(block.quants.data(), out.q.data());
}

void encode(const float* in, std::size_t n_blocks, const float* importance, std::uint8_t* blocks) {
  encode_blocks<Block, 32>(in, n_blocks, importance, blocks, [](const Group& group, Block& block) {
    std::uint8_t q[32];
    const GroupHead best = best_group_head(group, kBits);
    block.head = best.head;
    round_to_levels(group, {0, (1 << kBits) - 1}, best.affine, q);
    pack_planes<2, 8, 8>(q, block.quants.data());
  });
}

}  // namespace

extern const Format cb2_format;
const Format cb2_format = {
    .name = "CB2",
    .type_id = kOwnFormatBase + 2,
    .block_elements = 32,
    .block_bytes = sizeof(Block),
    .summary = "2 bits, one 9-bit scale and 7-bit offset per 32 (Checkbit only)",
    .decode = decode_integer<cb2_format>,
    .encode = encode,
    .is_finite = group_head_is_finite,
    .integer = group_integer_form(kBits),
    .unpack = unpack,
    .own = true};

}  // namespace checkbit
