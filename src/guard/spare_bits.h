// Bits that are always the same: a check, and a correction, that take no room.
//
// What: encoders leave bits of a block unused. A scale that is never negative and always below 2
//   has a constant sign and a constant top exponent bit; a sub-scale of 6 bits has two constant
//   bits in the byte that the packed image gives it; the scale of our own types has 4 mantissa bits
//   in a half that has room for 10. Those are the bits whose flips hurt most (the top exponent bit
//   of a half multiplies by 2^16), and whoever knows their value needs no copy of them.
//   `find_spare_bits` learns which bits of the scales of a packed matrix are the same in all of it;
//   `mend_spare_bits` puts them back where they are not, which corrects every flip there whatever
//   their number. Kernels read the packed image as before: nothing is stored, decoding costs the
//   same.
//   `constant_block_bits` does the same for the blocks of a file; the contract test states what
//   each type leaves unused.
// Learnt bits: a bit counts when at least kSpareValues values agree, so that a small matrix does
// not
//   call chance a rule.
// Reference: Reliable and Energy Efficient MLC STT-RAM Buffer for CNN Accelerators (the unused bit
// of
//   half-precision weights below 1). There the bit holds a copy of the most significant one; here
//   that bit itself is constant, so nothing need be copied.
// Shapes: fields are [n][16] values of `bytes` bytes at `offset` of a record
// (kernels/panel_layout.h). Threads: pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "weights/packed_matrix.h"

namespace checkbit {

inline constexpr std::uint64_t kSpareValues = 512;

struct SpareField {
  std::string_view name;  ///< "scale", "minimum", "sub-scale", "sub-minimum"
  std::size_t offset = 0;
  std::size_t count = 0;     ///< values in a record
  int bytes = 0;             ///< of a value, 1 or 2
  std::uint16_t ones = 0;    ///< bits that are always 1
  std::uint16_t zeros = 0;   ///< bits that are always 0
  std::uint64_t values = 0;  ///< that agree
  int spare_bits() const;    ///< of a value
};

struct SpareBits {
  std::size_t record_bytes = 0;
  std::size_t records = 0;
  std::vector<SpareField> fields;  ///< those with spare bits or without
};

/// Of a matrix in its own or the widened integer structure; no fields for any other.
SpareBits find_spare_bits(const PackedMatrix& matrix);

/// How many bits were put right in these packed bytes, whole records.
std::uint64_t mend_spare_bits(const SpareBits& spare, std::span<std::uint8_t> packed);

/// Bits of a block that are the same in all of `blocks`: [block_bytes] masks.
struct ConstantBits {
  std::vector<std::uint8_t> ones, zeros;
  int count() const;
};
ConstantBits constant_block_bits(const Format& format, std::span<const std::uint8_t> blocks);

}  // namespace checkbit
