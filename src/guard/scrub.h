// A thread that walks guarded memory again and again and has mended what is wrong.
//
// What: slices of at most 512 KiB, span after span; after each it waits so long that its processor
//   time stays at the share asked for. A whole pass at once is made when someone asks for it, and
//   when the machine's own counters of memory errors have grown (looked at once a second).
// Units: share of one processor, 0 to 1; bytes; seconds.
// Preconditions: spans outlive it.
// Threads: it makes one, which runs on any processor that the process may use; its functions may be
//   called from any thread.
#pragma once

#include <condition_variable>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "guard/edac.h"
#include "guard/guarded_span.h"

namespace checkbit {

struct ScrubOptions {
  double share = 0.005;  ///< 0: only when asked
  std::string edac_root = kEdacRoot;
  double edac_seconds = 1;  ///< between looks
};

class Scrubber {
 public:
  Scrubber(std::vector<GuardedSpan*> spans, ScrubOptions options);
  ~Scrubber();
  Scrubber(const Scrubber&) = delete;
  Scrubber& operator=(const Scrubber&) = delete;

  /// Walks everything once in the calling thread.
  void pass();
  /// Its part of the counters.
  void fill(LiveCounters& counters) const;

 private:
  struct Place {
    std::size_t span = 0;
    std::uint64_t unit = 0;
  };
  void work();
  bool slice(Place& place);
  void look_at_machine();

  std::vector<GuardedSpan*> spans_;
  ScrubOptions options_;
  std::optional<MachineErrors> machine_at_start_;
  double start_;
  mutable std::mutex mutex_;  ///< of what follows
  std::condition_variable wake_;
  bool stop_ = false;
  std::optional<MachineErrors> machine_;  ///< since the start
  std::uint64_t bytes_ = 0;
  std::uint64_t passes_ = 0;
  double busy_seconds_ = 0;  ///< of the thread
  std::thread thread_;
};

}  // namespace checkbit
