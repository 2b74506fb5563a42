// The sweep: candidates are made, measured against the model they are made of, and kept.
//
// What: work goes in rounds. The first gives every candidate a few windows, in an order that spans
//   the sizes at once (largest, smallest, middle, ...), so that a stopped sweep already has a
//   front. Later rounds have four times the windows each: first for candidates on the front or near
//   it, then, while there is budget, for the rest.
// Budget: a piece of work is begun when its expected time (means of what was measured) still fits;
//   the first of a model is always begun.
// Resuming: what the store has is not measured again. Ctrl-C and errors lose the pieces at hand,
// one
//   of each candidate that is open.
// Lockstep: candidates of one round are made and measured `together`, against one reading of the
//   reference. The figures are those of one at a time.
// Broken candidates (logits that are not finite, sizes that cannot be met) are kept with their
//   reason and do not stop the sweep. A full disk, a broken reference, Ctrl-C do.
// Threads: one sweep uses its sources alone.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "measure/compare.h"
#include "measure/sweep/store.h"

namespace checkbit {

struct SweepText {
  std::string name;
  std::string hash;
  std::vector<TokenId> tokens;
  std::vector<std::uint32_t> token_bytes;  ///< of text that each token stands for
};

/// A candidate's file, open. Tests implement it with tables.
class OpenCandidate {
 public:
  virtual ~OpenCandidate() = default;
  virtual LogitsSource& source() = 0;
  virtual Result<StoredSpeed> measure_speed() = 0;
};

struct SweepWorkshop {
  MakeCandidate make;
  std::function<Result<std::unique_ptr<OpenCandidate>>(const std::string& path)> open;
};

/// What is about to happen, for whoever draws progress.
struct SweepNews {
  std::string candidate;     ///< the first of those that are together
  std::size_t number = 0;    ///< of the piece of work, from 1
  std::size_t of = 0;        ///< pieces in all, the finished ones of this run included
  double seconds_left = 0;   ///< expected for all of them, within the budget; 0: not known yet
  std::size_t that_fit = 0;  ///< pieces still to come that fit into the budget; 0: not known yet
};

struct SweepOptions {
  std::size_t context_tokens = 512;
  std::size_t first_windows = 8;  ///< of each text, in the first round
  std::size_t max_windows = 0;    ///< of each text; 0: all of it
  double budget_seconds = 0;      ///< 0: none
  std::string folder;             ///< where candidates' files are made
  bool keep = false;              ///< leave them there
  /// Candidates that are open at once and read the same windows in lockstep, so that the reference
  /// is read once for them.
  std::size_t together = 1;
  std::optional<TokenId> beginning;
  std::function<void(const SweepNews&)> news;
};

struct SweepOutcome {
  std::size_t done = 0;       ///< pieces of work finished in this run
  std::size_t left = 0;       ///< not begun: the budget is used up
  std::size_t elsewhere = 0;  ///< claimed by other runs
  double seconds_left = 0;    ///< expected for `left`
};

/// A candidate and windows of the texts to measure it on.
struct SweepWork {
  std::size_t candidate = 0;
  std::vector<SweepPiece> pieces;
  std::size_t windows() const;
};

/// What is still to be done, in order. `known`: what the store has of the model, or null.
std::vector<SweepWork> plan_work(const StoredModel* known,
                                 std::span<const SweepCandidate> candidates,
                                 std::span<const SweepText> texts, const SweepOptions& options);

/// 0 .. count - 1 so that any beginning spans the range: last, first, middle, quarters, ...
std::vector<std::size_t> spanning_order(std::size_t count);

/// `candidates` in order of their expected bits.
Result<SweepOutcome> run_sweep(SweepStore& store, const SweepModel& model, LogitsSource& reference,
                               std::span<const SweepCandidate> candidates,
                               std::span<const SweepText> texts, const SweepWorkshop& workshop,
                               const SweepOptions& options);

}  // namespace checkbit
