#include "base/thread_pool.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/float_environment.h"
#include "base/machine_limits.h"

namespace checkbit {
namespace {

/// About 50 microseconds: longer than the serial parts of a token, shorter than a wait for input.
constexpr int kSpins = 4000;

inline void pause_briefly() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("isb");  // a few dozen cycles, as the other's pause; `yield` takes none
#else
  std::this_thread::yield();
#endif
}

/// A few lines of it per pause, so that the wait ends no later.
inline void read_ahead(ReadAhead& ahead) {
  constexpr std::size_t kLineBytes = 64;
  constexpr int kLines = 4;
  for (int i = 0; i < kLines && ahead.bytes > 0; ++i) {
    __builtin_prefetch(ahead.data, 0, 2);  // into the second cache: the first holds activations
    const std::size_t step = std::min(kLineBytes, ahead.bytes);
    ahead.data += step;
    ahead.bytes -= step;
  }
}

}  // namespace

ThreadPool::ThreadPool(int n_threads, ThreadPlacement placement)
    : n_threads_(std::max(1, n_threads)),
      spins_(n_threads_ <= usable_processors() ? kSpins : 0),
      placement_(std::move(placement)) {
  for (int i = 1; i < n_threads_; ++i) workers_.emplace_back([this, i] { work(i); });
  place_workers();
  if (placement_.processors.empty()) return;
  caller_.emplace(placement_.processors[0]);
  pinned_ += caller_->pinned() ? 1 : 0;
}

void ThreadPool::place_workers() {
  const std::vector<int>& processors = placement_.processors;
  if (!processors.empty()) {
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      const int processor = processors[(i + 1) % processors.size()];
      pinned_ += set_processors(workers_[i].native_handle(), {&processor, 1}) ? 1 : 0;
    }
  } else if (PinnedCaller::holds_this_thread()) {  // by another pool: workers would stay there too
    const std::vector<int> allowed = allowed_processors();
    for (std::thread& worker : workers_) set_processors(worker.native_handle(), allowed);
  }
}

ThreadPool::~ThreadPool() {
  stop_.store(true, std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::start(Task task, void* context) {
  if (n_threads_ == 1) {
    task(context, 0, 1);
    return;
  }
  task_ = task;
  context_ = context;
  running_.store(n_threads_ - 1, std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  task(context, 0, n_threads_);
  ReadAhead ahead = expected_by(0);
  for (int spins = 0; running_.load(std::memory_order_acquire) != 0; ++spins) {
    if (spins < spins_) {
      read_ahead(ahead);
      pause_briefly();
    } else {
      std::this_thread::yield();  // more threads than processors: let the others finish
    }
  }
}

ReadAhead ThreadPool::expected_by(int thread) const {
  return expected_ == nullptr ? ReadAhead{} : expected_[thread];
}

void ThreadPool::work(int thread) {
  const FloatEnvironment environment;  // a thread begins with what its creator had set
  std::uint32_t seen = 0;
  ReadAhead ahead;
  while (true) {
    int spins = 0;
    while (generation_.load(std::memory_order_acquire) == seen) {
      if (++spins < spins_) {
        read_ahead(ahead);
        pause_briefly();
      } else {
        generation_.wait(seen, std::memory_order_acquire);
      }
    }
    seen = generation_.load(std::memory_order_acquire);
    if (stop_.load(std::memory_order_relaxed)) return;
    task_(context_, thread, n_threads_);
    ahead = expected_by(thread);  // the caller may change it once this thread is done
    running_.fetch_sub(1, std::memory_order_release);
  }
}

int usable_processors() {
  int count = static_cast<int>(allowed_processors().size());
  if (count == 0) count = static_cast<int>(std::thread::hardware_concurrency());
  if (const auto limit = machine_limits().processors)
    count = std::min(count, static_cast<int>(std::lround(std::min(*limit, 1e6))));
  return std::max(1, count);
}

}  // namespace checkbit
