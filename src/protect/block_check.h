// Checks of 4 KiB blocks: a CRC64 that also locates one flipped bit, and a second check that
// confirms.
//
// What: `crc` is CRC-64/XZ (ECMA-182 reflected, 0xC96C5795D7870F42), 35 GB/s from memory. The xor
// of
//   the stored and the computed one, the syndrome, depends on the flipped bits alone; each single
//   bit of a block has its own. `second` is CRC-32C without inversions, its halves xored: where
//   three and more flips look like one to the first check, it refuses all but one in 65,536.
// Short blocks (the last of a span) count as if zeros followed.
// Threads: pure; the table of syndromes is made once, when it is first needed.
// Reference: ECMA-182; Koopman, "32-Bit Cyclic Redundancy Codes for Internet Applications", 2002,
//   for distances; tests/oracles/check_protect.py computes the same from the definition.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace checkbit {

inline constexpr std::size_t kCodeBlockBytes = 4096;

struct BlockCheck {
  std::uint64_t crc = 0;
  std::uint16_t second = 0;
  bool operator==(const BlockCheck&) const = default;
};

/// CRC-64/XZ of any bytes; `before` goes on from an earlier result.
std::uint64_t crc64(std::span<const std::uint8_t> bytes, std::uint64_t before = 0);

/// Precondition: at most kCodeBlockBytes.
std::uint64_t block_crc(std::span<const std::uint8_t> block);
BlockCheck block_check(std::span<const std::uint8_t> block);

/// What one flipped bit can be: bit `index` of the block (byte index / 8, lowest bit first), or one
/// of the 64 bits of the stored CRC.
struct FlippedBit {
  bool in_check = false;
  std::uint32_t index = 0;
};

/// The one bit whose flip gives this syndrome; nothing when no single bit does.
std::optional<FlippedBit> flipped_bit(std::uint64_t syndrome);

}  // namespace checkbit
