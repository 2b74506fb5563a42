// The processors that this thread may use, what memory each is near to, and on which of them the
// threads of a pool run best.
//
// What: a processor is what the system schedules on, a hardware thread. Processors of one core are
//   siblings; a node is a part of the memory with the processors next to it.
// Errors: none. What the system does not say, or says in nonsense, counts as one node and one core
//   for each processor.
// Threads: any; affinity is that of the calling thread. Reads small files: not for loops.
#pragma once

#include <pthread.h>

#include <span>
#include <string>
#include <thread>
#include <vector>

namespace checkbit {

struct Processor {
  int id = 0;       ///< as the system numbers them
  int node = 0;     ///< 0 .. nodes - 1, counting only nodes with a processor that may be used
  int sibling = 0;  ///< how many usable processors of the same core have a smaller id
  bool operator==(const Processor&) const = default;
};

/// Ids in ascending order: the affinity mask, which the system keeps inside the control group's set
/// of processors. Of a thread that a PinnedCaller holds, those from before. Empty: unknown.
std::vector<int> allowed_processors();

/// `allowed` in the same order; `root` is a tree like /sys/devices/system.
std::vector<Processor> read_topology(std::span<const int> allowed,
                                     const std::string& root = "/sys/devices/system");

/// Where the threads of a pool run.
struct ThreadPlacement {
  std::vector<int> processors;  ///< thread i on the i-th; empty: where the system puts them
  int nodes = 1;                ///< that the threads run on
};

/// Threads spread evenly over nodes, neighbours on the same node; in each, all cores come before
/// the second processor of any, and all processors before one gets a second thread.
ThreadPlacement place_threads(std::span<const Processor> topology, int threads);

/// The most nodes that place_threads can use.
int count_nodes(std::span<const Processor> topology);

/// Lets a thread run on these processors only; false when the system refuses.
bool set_processors(pthread_t thread, std::span<const int> processors);

/// Holds the calling thread on a processor; afterwards it runs where it could before. Several may
/// hold one thread, the last one lets go. Made and unmade by the same thread.
class PinnedCaller {
 public:
  explicit PinnedCaller(int processor);
  ~PinnedCaller();
  PinnedCaller(const PinnedCaller&) = delete;
  PinnedCaller& operator=(const PinnedCaller&) = delete;

  bool pinned() const { return pinned_; }
  /// Whether one holds the calling thread: threads that it starts would stay on its processor.
  static bool holds_this_thread();

 private:
  bool pinned_ = false;
};

}  // namespace checkbit
