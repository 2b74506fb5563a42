// CB4, our own: 4-bit integers in groups of 32, 4.5 bits per weight.
//
// For rows that 256 does not divide, where GGUF's standard types have a scale but no offset at this
// size. w = d * (q - o / 8), q = 0 .. 15; d and o are packed in `head` (checkbit_groups.h). Layout
// with byte offsets and an example: docs/formats/own.md.

#include <cstddef>

#include "formats/bit_planes.h"
#include "formats/checkbit_groups.h"

namespace checkbit {
namespace {

struct Block {
  static constexpr int kBits = 4;
  std::uint16_t head;
  std::array<std::uint8_t, 16> quants;  ///< byte i: q[i] low, q[i + 16] high

  void unpack(std::uint8_t* q) const { unpack_planes<4, 16, 16>(quants.data(), q); }
  void pack(const std::uint8_t* q) { pack_planes<4, 16, 16>(q, quants.data()); }
};
static_assert(sizeof(Block) == 18);
static_assert(offsetof(Block, quants) == 2);

}  // namespace

extern const Format cb4_format;
const Format cb4_format = group_format<Block, cb4_format>(
    "CB4", "4 bits, one 9-bit scale and 7-bit offset per 32 (Checkbit only)");

}  // namespace checkbit
