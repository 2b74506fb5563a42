// The bytes of a seal (docs/formats/seal.md has them to the bit).
//
// What: head, parity, table, parity of the table, head once more with its sectors in reverse. The
//   table has a BlockCheck (10 bytes) for each block of the model, then for each of the parity. The
//   head names the shape and holds the checks of the table's blocks; it is cut into sectors of 512
//   bytes with a CRC64 each, and either copy of a sector will do.
// Everything but the sizes follows from them: SealLayout. Offsets count from the seal's first byte.
// Errors: corrupt (no readable head, fields that contradict one another), unsupported (version).
//   Every field is bounded before it is used; nothing is allocated from one before the file is
//   known to hold the bytes.
// Threads: values.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "protect/block_code.h"

namespace checkbit {

inline constexpr std::uint32_t kSealVersion = 1;
inline constexpr std::size_t kSealSectorBytes = 512;
inline constexpr std::size_t kKeyedHashBytes = 32;
inline constexpr std::uint64_t kMostSealedBytes = std::uint64_t{1} << 46;  ///< 64 TiB
inline constexpr std::size_t kBlockCheckBytes = 10;

using KeyedHash = std::array<std::uint8_t, kKeyedHashBytes>;

struct SealHeader {
  CodeShape shape;
  std::uint64_t sealed_bytes = 0;  ///< of the model
  std::uint64_t seal_id = 0;       ///< CRC64 of the table: differs with every byte of the model
  bool keyed = false;
  KeyedHash keyed_hash{};  ///< zeros unless keyed
};

class SealLayout {
 public:
  /// Precondition: a valid shape and at most kMostSealedBytes.
  SealLayout(std::uint64_t sealed_bytes, CodeShape shape);

  const CodeGeometry& data() const { return data_; }
  /// The table as a span with blocks and parity of its own.
  const CodeGeometry& table() const { return table_; }
  std::uint64_t sectors() const { return sectors_; }
  std::uint64_t head_bytes() const { return sectors_ * kSealSectorBytes; }
  std::uint64_t parity_offset() const { return head_bytes(); }
  std::uint64_t table_offset() const { return parity_offset() + data_.parity_bytes(); }
  std::uint64_t table_parity_offset() const { return table_offset() + table_.span_bytes(); }
  std::uint64_t second_head_offset() const { return table_parity_offset() + table_.parity_bytes(); }
  std::uint64_t seal_bytes() const { return second_head_offset() + head_bytes(); }
  /// Of sector `sector` in copy 0 or 1.
  std::uint64_t sector_offset(std::uint64_t sector, int copy) const;

 private:
  CodeGeometry data_;
  CodeGeometry table_;
  std::uint64_t sectors_;
};

/// Where a seal inside a model file begins: behind its bytes, at a multiple of the block size.
std::uint64_t seal_offset_in_file(std::uint64_t sealed_bytes);

/// Both copies of the head: the second has the sectors in reverse. `root`: checks of the table's
/// blocks and then of its parity blocks.
struct SealHeads {
  std::vector<std::uint8_t> first;
  std::vector<std::uint8_t> second;
};
SealHeads serialize_heads(const SealHeader& header, std::span<const BlockCheck> root);

struct SealHead {
  SealHeader header;
  std::vector<BlockCheck> root;
  std::uint64_t bad_sectors = 0;  ///< of both copies
};
/// Reads 512 bytes at an offset of the file; false when they are missing.
using SectorReader = std::function<bool(std::uint64_t offset, std::span<std::uint8_t> sector)>;
/// `begin`: of the seal in the file; `end`: of the file. Sector 0 is looked for at both.
Result<SealHead> read_seal_head(const SectorReader& read, std::uint64_t begin, std::uint64_t end,
                                const std::string& path);
/// Is this a sector 0 with a right CRC? Used to find a seal inside a file.
bool is_first_sector(std::span<const std::uint8_t> sector);
/// What a right sector 0 says, checked against the limits above.
Result<SealHeader> parse_seal_header(std::span<const std::uint8_t> sector, const std::string& path);

/// BlockChecks as they stand in table and head.
void append_checks(std::vector<std::uint8_t>& bytes, std::span<const BlockCheck> checks);
BlockCheck check_from(const std::uint8_t* bytes);

}  // namespace checkbit
