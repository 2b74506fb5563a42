#include "base/thread_pool.h"

#include <sched.h>

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

ThreadPool::ThreadPool(int n_threads)
    : n_threads_(std::max(1, n_threads)), spins_(n_threads_ <= usable_processors() ? kSpins : 0) {
  for (int i = 1; i < n_threads_; ++i) workers_.emplace_back([this, i] { work(i); });
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
  cpu_set_t set;
  CPU_ZERO(&set);
  int count = sched_getaffinity(0, sizeof set, &set) == 0
                  ? CPU_COUNT(&set)
                  : static_cast<int>(std::thread::hardware_concurrency());
  if (const auto limit = machine_limits().processors)
    count = std::min(count, static_cast<int>(std::lround(std::min(*limit, 1e6))));
  return std::max(1, count);
}

}  // namespace checkbit
