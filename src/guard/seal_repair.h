// Puts a sealed model right in place, and its seal too.
//
// What: finishes a repair that was interrupted, verifies, mends stripe by stripe, and verifies
// again.
//   What it writes has agreed with the seal's checks before; each batch stands in a journal on disk
//   first, so that being killed, or losing power, at any moment loses nothing that was not lost.
// Errors: those of Seal::open; io (read-only file system, full disk: the journal stays, and the
// next
//   repair goes on); invalid (another process repairs or verifies this model; a seal that seems to
//   be another file's); cancelled, between batches.
// Threads: one process and one call at a time for a model: a lock on the file sees to that.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "guard/repair_journal.h"
#include "guard/seal_verify.h"

namespace checkbit {

/// Moments of a repair, for tests that end the process there.
enum class RepairMoment : std::uint8_t {
  journal_to_be_written,
  journal_written,
  piece_to_be_written,  ///< with the piece
  pieces_written,
  pieces_flushed,
  journal_removed,
};
using RepairWatcher = std::function<void(RepairMoment moment, const RepairPiece* piece)>;

struct RepairReport {
  VerifyReport before;
  VerifyReport after;
  std::uint64_t by_bit = 0;         ///< blocks of the model, from one flipped bit
  std::uint64_t by_parity = 0;      ///< from the rest of their stripe
  std::uint64_t bits_changed = 0;   ///< in blocks that could be read
  std::uint64_t seal_pieces = 0;    ///< written to the seal
  std::uint64_t taken_up = 0;       ///< pieces of an interrupted repair
  std::vector<std::uint64_t> lost;  ///< blocks of the model that nothing mends, in order
  double seconds = 0;               ///< of mending and writing, without the two verifications
};

Result<RepairReport> repair_model(const std::string& model_path, ThreadPool& pool,
                                  const RepairWatcher& watcher = nullptr);

}  // namespace checkbit
