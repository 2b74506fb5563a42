// CB3, our own: 3-bit integers in groups of 32, 3.5 bits per weight.
//
// For rows that 256 does not divide, where GGUF's standard types end at 4.5 bits.
// w = d * (q - o / 16), q = 0 .. 7; d and o are packed in `head` (checkbit_groups.h).
// Layout with byte offsets and an example: docs/formats/own.md.

#include <cstddef>

#include "formats/bit_planes.h"
#include "formats/checkbit_groups.h"

namespace checkbit {
namespace {

struct Block {
  static constexpr int kBits = 3;
  std::uint16_t head;
  std::array<std::uint8_t, 8> quants;     ///< low 2 bits: planes of 8
  std::array<std::uint8_t, 4> high_bits;  ///< bit i of the 32: bit 2 of q[i]

  void unpack(std::uint8_t* q) const {
    unpack_planes<2, 8, 8>(quants.data(), q);
    unpack_planes<1, 1, 4, 2>(high_bits.data(), q);
  }
  void pack(const std::uint8_t* q) {
    pack_planes<2, 8, 8>(q, quants.data());
    pack_planes<1, 1, 4, 2>(q, high_bits.data());
  }
};
static_assert(sizeof(Block) == 14);
static_assert(offsetof(Block, quants) == 2);
static_assert(offsetof(Block, high_bits) == 10);

}  // namespace

extern const Format cb3_format;
const Format cb3_format = group_format<Block, cb3_format>(
    "CB3", "3 bits, one 9-bit scale and 7-bit offset per 32 (Checkbit only)");

}  // namespace checkbit
