// Progress and cancelling of long operations.
//
// What: a long operation makes one `Progress` and advances it; whoever owns the screen (cli/,
// serve/)
//   installs a `ProgressSink` that draws it. Without a sink nothing happens, so libraries report
//   progress always and print never. The same operations poll `cancel_requested()` between steps
//   and return `cancelled_error()` when it is set.
// Units: `total` and `done` count in `unit` ("bytes", "tokens", "tensors"); total 0 means unknown.
// Threads: advance may be called from any thread; the sink sees one call at a time. Cancelling is
//   safe from a signal handler.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

#include "base/result.h"

namespace checkbit {

struct ProgressState {
  std::string label;        ///< "calibrating"
  std::string unit;         ///< "tokens"
  std::uint64_t total = 0;  ///< 0: unknown
  std::uint64_t done = 0;
  std::uint64_t initial = 0;  ///< `done` at the start (a resumed download): not counted in the rate
  double elapsed_seconds = 0;
  bool finished = false;  ///< the last call for this operation
  bool eager = false;     ///< worth showing at once; else only after two seconds

  double per_second() const {
    return elapsed_seconds > 0 ? static_cast<double>(done - initial) / elapsed_seconds : 0;
  }
};

class ProgressSink {
 public:
  virtual ~ProgressSink() = default;
  /// Called at most about ten times a second, and once more with `finished`.
  virtual void update(const ProgressState& state) = 0;
};

/// Installs a sink for the whole process and returns the one before (null: none). Not to be called
/// while an operation runs.
ProgressSink* set_progress_sink(ProgressSink* sink);

struct ProgressOptions {
  std::uint64_t initial = 0;
  bool eager = false;
};

/// One running operation. The destructor finishes it.
class Progress {
 public:
  Progress(std::string label, std::uint64_t total, std::string unit, ProgressOptions options = {});
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void advance(std::uint64_t count = 1) {
    done_.fetch_add(count);
    report_if_due();
  }
  void set(std::uint64_t done) {
    done_.store(done);
    report_if_due();
  }
  std::uint64_t done() const { return done_.load(); }

 private:
  void report_if_due();
  void report(bool finished);

  ProgressState state_;
  std::chrono::steady_clock::time_point start_;
  std::atomic<std::uint64_t> done_;
  std::atomic<std::int64_t> next_report_ns_{0};  ///< since start_
};

/// Asks running operations to stop at their next step. Async-signal-safe.
void request_cancel();
bool cancel_requested();
/// For the start of a new command and for tests.
void clear_cancel();
Error cancelled_error();

}  // namespace checkbit
