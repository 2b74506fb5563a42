#include "base/progress.h"

#include <mutex>
#include <utility>

namespace checkbit {
namespace {

std::atomic<bool> cancelled{false};
static_assert(std::atomic<bool>::is_always_lock_free, "request_cancel runs in a signal handler");

std::mutex sink_mutex;
ProgressSink* current_sink = nullptr;

constexpr std::int64_t kReportIntervalNs = 100'000'000;

}  // namespace

ProgressSink* set_progress_sink(ProgressSink* sink) {
  const std::lock_guard lock(sink_mutex);
  return std::exchange(current_sink, sink);
}

Progress::Progress(std::string label, std::uint64_t total, std::string unit,
                   ProgressOptions options)
    : start_(std::chrono::steady_clock::now()), done_(options.initial) {
  state_.label = std::move(label);
  state_.unit = std::move(unit);
  state_.total = total;
  state_.initial = options.initial;
  state_.eager = options.eager;
  report(false);
}

Progress::~Progress() { report(true); }

void Progress::report_if_due() {
  const std::int64_t now =
      std::chrono::nanoseconds(std::chrono::steady_clock::now() - start_).count();
  std::int64_t due = next_report_ns_.load();
  // Of several threads that pass the due time together, one reports.
  if (now < due || !next_report_ns_.compare_exchange_strong(due, now + kReportIntervalNs)) return;
  report(false);
}

void Progress::report(bool finished) {
  const std::lock_guard lock(sink_mutex);
  if (current_sink == nullptr) return;
  state_.done = done_.load();
  state_.elapsed_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  state_.finished = finished;
  current_sink->update(state_);
}

void request_cancel() { cancelled.store(true); }
bool cancel_requested() { return cancelled.load(); }
void clear_cancel() { cancelled.store(false); }
Error cancelled_error() { return fail(ErrorKind::invalid, "stopped before it was done"); }

}  // namespace checkbit
