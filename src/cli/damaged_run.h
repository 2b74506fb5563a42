// The program run once more in a process of its own, unharmed and with its memory damaged.
//
// What: `checkbit run --guard=check --json` with the same words, twice. The second time bits of its
//   packed weights are flipped from here while it generates, and its model file is moved out of
//   reach as soon as it has loaded, so that nothing can be read again.
// Errors: io (processes, files), those of the run (its last words are on standard error), corrupt
//   (its answer is no JSON).
// Threads: one at a time for a model file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace checkbit {

struct DamagedRun {
  std::uint64_t flips = 0;
  std::string unharmed_text;
  std::string damaged_text;
  bool same_logits = false;  ///< to the bit, of every token
  std::uint64_t repaired_bits = 0;
  std::uint64_t repaired_blocks = 0;
  std::uint64_t from_file = 0;  ///< blocks
  std::uint64_t alarms = 0;     ///< products that did not add up
  double repair_p99_seconds = 0;
  std::string command;  ///< of the damaged run
  bool mended() const { return same_logits && repaired_bits == flips && from_file == 0; }
};

/// `words`: prompt and its options. `model`: a path.
Result<DamagedRun> run_damaged(const std::string& model, const std::vector<std::string>& words,
                               std::uint64_t flips, std::uint64_t seed);

}  // namespace checkbit
