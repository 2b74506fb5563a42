// What stands guard over the memory of an open session (guard/live_guard.h makes one).
//
// Units: bytes, bits, seconds; counts since the guard was made. A block is 4 KiB.
// Threads: counters may be asked for from any thread.
#pragma once

#include <cstdint>
#include <optional>

namespace checkbit {

/// Memory errors that Linux has counted since the guard was made.
struct MachineErrors {
  std::uint64_t corrected = 0;
  std::uint64_t uncorrected = 0;
};

struct LiveCounters {
  std::uint64_t guarded_bytes = 0;
  std::uint64_t extra_bytes = 0;  ///< that checks and parity take
  std::uint64_t scrubbed_bytes = 0;
  std::uint64_t scrub_passes = 0;
  double scrub_seconds = 0;  ///< of processor time
  double seconds = 0;        ///< that the scrubber has been there
  std::uint64_t damaged_blocks = 0;
  std::uint64_t repaired_bits = 0;       ///< flipped bits put back, of all blocks
  std::uint64_t repaired_by_bit = 0;     ///< blocks with one flipped bit, found by its syndrome
  std::uint64_t repaired_by_parity = 0;  ///< blocks
  std::uint64_t repaired_checks = 0;     ///< blocks that were right and had a wrong check
  std::uint64_t repaired_from_file = 0;  ///< blocks
  std::uint64_t unrepaired = 0;          ///< blocks
  std::uint64_t rows_verified = 0;       ///< blocks of the embedding table, at each look-up
  double repair_p99_seconds = 0;         ///< of processor time, to mend one block; 0: none was
  double repair_longest_seconds = 0;
  std::optional<MachineErrors> machine;  ///< none: the machine does not tell
};

class SessionGuard {
 public:
  virtual ~SessionGuard() = default;
  virtual LiveCounters counters() const = 0;
  /// Verifies and mends everything once, now.
  virtual void scrub() = 0;
};

}  // namespace checkbit
