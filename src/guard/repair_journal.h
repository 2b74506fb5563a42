// What a repair is about to write, on disk before the first byte of it is.
//
// What: MODEL.repair holds pieces for the model and for its seal, with a CRC64 of all. It appears
//   whole (base/atomic_file.h), its pieces are then written to their places and flushed, and it
//   goes. Whoever is killed in between leaves it; the next repair writes its pieces once more,
//   which does no harm however often.
// Bytes, little endian: "CBREPAIR", version u32, pieces u32, seal_id u64; of each piece target u32,
//   bytes u32, offset u64 and its bytes; CRC64 (protect/block_check.h) of all before it.
// Errors: io; corrupt, for a file of that name that is no journal.
// Threads: one at a time, under the lock of the model.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "guard/seal.h"

namespace checkbit {

enum class RepairTarget : std::uint32_t { model, seal };

struct RepairPiece {
  RepairTarget target = RepairTarget::model;
  Piece piece;
};

/// "model.gguf.repair"
std::string journal_path(const std::string& model_path);

Status write_journal(const std::string& model_path, std::uint64_t seal_id,
                     const std::vector<RepairPiece>& pieces);

struct Journal {
  std::uint64_t seal_id = 0;
  std::vector<RepairPiece> pieces;
};
/// Nothing when there is none.
Result<std::optional<Journal>> read_journal(const std::string& model_path);
/// Of the bytes of such a file.
Result<Journal> parse_journal(std::span<const std::uint8_t> bytes, const std::string& path);
Status remove_journal(const std::string& model_path);

}  // namespace checkbit
