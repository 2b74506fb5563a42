#include "guard/scrub.h"

#include <ctime>

#include <algorithm>
#include <chrono>

#include "base/cpu_topology.h"

namespace checkbit {
namespace {

constexpr std::uint64_t kSliceUnits = 128;

}  // namespace

Scrubber::Scrubber(std::vector<GuardedSpan*> spans, ScrubOptions options)
    : spans_(std::move(spans)),
      options_(std::move(options)),
      machine_at_start_(read_edac(options_.edac_root)),
      start_(seconds_of(CLOCK_MONOTONIC)) {
  if (machine_at_start_) machine_.emplace();
  if (options_.share > 0) thread_ = std::thread([this] { work(); });
}

Scrubber::~Scrubber() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

/// True when that was the end of a pass.
bool Scrubber::slice(Place& place) {
  if (spans_.empty()) return true;
  GuardedSpan& span = *spans_[place.span];
  const std::uint64_t end = std::min(place.unit + kSliceUnits, span.units());
  span.verify(place.unit, end);
  const std::lock_guard lock(mutex_);
  bytes_ += (end - place.unit) * kCodeBlockBytes;
  place.unit = end;
  if (end < span.units()) return false;
  place = {(place.span + 1) % spans_.size(), 0};
  if (place.span == 0) ++passes_;
  return place.span == 0;
}

void Scrubber::pass() {
  for (Place place; !slice(place);) {
  }
}

/// A pass when errors were counted since the last look.
void Scrubber::look_at_machine() {
  const auto now = read_edac(options_.edac_root);
  if (!now || !machine_at_start_) return;
  bool grown = false;
  {
    const std::lock_guard lock(mutex_);
    // A counter that was reset begins again at what it shows.
    const auto since = [](std::uint64_t count, std::uint64_t start) {
      return count >= start ? count - start : count;
    };
    const MachineErrors errors{since(now->corrected, machine_at_start_->corrected),
                               since(now->uncorrected, machine_at_start_->uncorrected)};
    grown = errors.corrected > machine_->corrected || errors.uncorrected > machine_->uncorrected;
    machine_ = errors;
  }
  if (grown) pass();
}

void Scrubber::work() {
  // The thread that made this one may be held on a processor, where it would be in the way.
  if (const auto allowed = allowed_processors(); !allowed.empty())
    set_processors(pthread_self(), allowed);
  Place place;
  double last_look = seconds_of(CLOCK_MONOTONIC);
  while (true) {
    const double begin = seconds_of(CLOCK_THREAD_CPUTIME_ID);
    slice(place);
    if (const double now = seconds_of(CLOCK_MONOTONIC); now - last_look >= options_.edac_seconds) {
      look_at_machine();
      last_look = now;
    }
    const double busy = seconds_of(CLOCK_THREAD_CPUTIME_ID) - begin;
    std::unique_lock lock(mutex_);
    busy_seconds_ += busy;
    const std::chrono::duration<double> rest(busy / options_.share - busy);
    if (wake_.wait_for(lock, rest, [&] { return stop_; })) return;
  }
}

void Scrubber::fill(LiveCounters& counters) const {
  const std::lock_guard lock(mutex_);
  counters.scrubbed_bytes = bytes_;
  counters.scrub_passes = passes_;
  counters.scrub_seconds = busy_seconds_;
  counters.seconds = seconds_of(CLOCK_MONOTONIC) - start_;
  counters.machine = machine_;
}

}  // namespace checkbit
