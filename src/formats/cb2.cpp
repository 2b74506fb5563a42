// CB2, our own: 2-bit integers in groups of 32, 2.5 bits per weight.
//
// For rows that 256 does not divide, where GGUF's standard types end at 4.5 bits.
// w = d * (q - o / 32), q = 0 .. 3; d and o are packed in `head` (checkbit_groups.h).
// Layout with byte offsets and an example: docs/formats/own.md.

#include <cstddef>

#include "formats/bit_planes.h"
#include "formats/checkbit_groups.h"

namespace checkbit {
namespace {

struct Block {
  static constexpr int kBits = 2;
  std::uint16_t head;
  std::array<std::uint8_t, 8> quants;  ///< 2-bit planes of 8

  void unpack(std::uint8_t* q) const { unpack_planes<2, 8, 8>(quants.data(), q); }
  void pack(const std::uint8_t* q) { pack_planes<2, 8, 8>(q, quants.data()); }
};
static_assert(sizeof(Block) == 10);
static_assert(offsetof(Block, quants) == 2);

}  // namespace

extern const Format cb2_format;
const Format cb2_format = group_format<Block, cb2_format>(
    "CB2", "2 bits, one 9-bit scale and 7-bit offset per 32 (Checkbit only)");

}  // namespace checkbit
