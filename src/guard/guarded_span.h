// A stretch of memory that nobody writes while the model serves, verified and mended in place.
//
// What: checks and parity (protect/block_code.h) are computed once, of what is there. `verify`
// walks
//   units: blocks of 4 KiB first, then the blocks of parity. A unit that disagrees is mended with
//   its stripe: one flipped bit by its syndrome, else Reed-Solomon, else from the source, and what
//   does not agree with its check afterwards is not written.
// Mending others' reading: aligned stores of whole words, see base/word_store.h.
// Read-only pages (the program's own) are opened for writing for the time of a mending.
// Errors: memory. What cannot be mended is counted, and told to `on_failure`.
// Threads: any; one at a time mends, and verifying waits for it.
#pragma once

#include <cstdint>
#include <ctime>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "protect/block_code.h"
#include "run/session_guard.h"

namespace checkbit {

/// What a clock shows; that of the calling thread says what a repair takes on a busy machine, too.
double seconds_of(clockid_t clock);

/// Counts and times of repairs, of all spans of a guard.
class RepairTally {
 public:
  void add(Mend mend, std::uint64_t bits);
  void add_from_source(std::uint64_t bits);
  void add_unrepaired();
  void add_seconds(double seconds);
  /// Its part of the counters.
  void fill(LiveCounters& counters) const;

 private:
  mutable std::mutex mutex_;
  LiveCounters counts_;
  std::vector<float> seconds_;  ///< of the first kMostTimes repairs
};

class GuardedSpan {
 public:
  /// Copies what `part` of the span ought to be; false when it cannot be had.
  using Source = std::function<bool(std::span<const std::uint8_t> part, std::uint8_t* out)>;
  struct Description {
    std::string name;  ///< "packed weights"
    std::span<std::uint8_t> bytes;
    bool writable = true;
    bool executable = false;
    Source source;                                       ///< may be empty
    std::function<std::string(std::uint64_t)> place_of;  ///< what stands at an offset; may be empty
    std::function<void(Error)> on_failure;               ///< may be empty
  };
  /// `tally` outlives the span. Precondition: begins at a multiple of 8, is not empty.
  static Result<std::unique_ptr<GuardedSpan>> create(Description description, RepairTally& tally,
                                                     ThreadPool* pool,
                                                     CodeShape shape = {.data_blocks = 64,
                                                                        .parity_blocks = 2});

  const std::string& name() const { return description_.name; }
  std::span<const std::uint8_t> bytes() const { return description_.bytes; }
  std::uint64_t extra_bytes() const { return code_.extra_bytes(); }
  std::uint64_t units() const {
    return code_.geometry().blocks() + code_.geometry().parity_blocks();
  }
  /// Units [begin, end): how many were wrong.
  std::uint64_t verify(std::uint64_t begin, std::uint64_t end);
  /// All blocks that `part`, which lies in the span, touches: how many were wrong.
  std::uint64_t verify_bytes(std::span<const std::uint8_t> part);

  /// For fault injection.
  SpanCode& code() { return code_; }

 private:
  GuardedSpan(Description description, RepairTally& tally, SpanCode code)
      : description_(std::move(description)), tally_(tally), code_(std::move(code)) {}
  void mend(std::uint64_t stripe);
  bool read_again(std::uint64_t block);
  void give_up(std::uint64_t block);
  bool open_pages(bool open) const;

  Description description_;
  RepairTally& tally_;
  std::mutex mutex_;
  SpanCode code_;
};

}  // namespace checkbit
