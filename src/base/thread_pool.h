// A fork-join pool: run one function on every thread and wait for all.
//
// What: `run(f)` calls f(thread, n_threads) on the caller (thread 0) and on n_threads - 1 workers.
//   Workers spin shortly between calls, because a token takes hundreds of them, and then sleep.
// Placement: threads run where the system puts them, or each on a processor of its own; then the
//   thread that makes the pool is held too, until the pool goes.
// Preconditions: run is not called from inside run, nor from two threads at once. A placed pool is
//   made, run and unmade by one thread.
// Errors: f must not throw.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/cpu_topology.h"

namespace checkbit {

/// Memory that a thread reads soon.
struct ReadAhead {
  const std::uint8_t* data = nullptr;
  std::size_t bytes = 0;
};

class ThreadPool {
 public:
  explicit ThreadPool(int n_threads, ThreadPlacement placement = {});
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return n_threads_; }
  /// Threads that are held on a processor: all, or fewer where the system refuses.
  int pinned() const { return pinned_; }
  const ThreadPlacement& placement() const { return placement_; }

  template <class F>
  void run(F&& f) {
    using Function = std::remove_reference_t<F>;
    start([](void* context, int thread, int n) { (*static_cast<Function*>(context))(thread, n); },
          const_cast<std::remove_const_t<Function>*>(&f));
  }

  /// Splits [0, n) into one contiguous range per thread: f(begin, end), empty ranges left out.
  template <class F>
  void for_ranges(std::int64_t n, F&& f) {
    if (n_threads_ == 1 || n <= 1) {
      if (n > 0) f(std::int64_t{0}, n);
      return;
    }
    run([&](int thread, int threads) {
      const std::int64_t begin = n * thread / threads;
      const std::int64_t end = n * (thread + 1) / threads;
      if (begin < end) f(begin, end);
    });
  }

  /// How for_shares(n) deals: [0, dealt) in one long range a thread, the rest in pieces.
  struct Dealing {
    std::int64_t dealt;
    std::int64_t piece;
  };
  static Dealing dealing(std::int64_t n, int threads) {
    constexpr std::int64_t kPieces = 4;  // of the rest, a thread
    const std::int64_t dealt = n * 3 / 4;
    return {dealt, (n - dealt + kPieces * threads - 1) / (kPieces * threads)};
  }
  /// Where a thread's long range of for_shares(n) begins.
  static std::int64_t share_begin(std::int64_t n, int thread, int threads) {
    return dealing(n, threads).dealt * thread / threads;
  }
  /// The thread whose long range of for_shares(n) holds `at`. What goes to whoever comes is spread
  /// over all threads, in order. Precondition: 0 <= at < n.
  static int reader_of(std::int64_t at, std::int64_t n, int threads) {
    const std::int64_t dealt = dealing(n, threads).dealt;
    if (at >= dealt) return static_cast<int>((at - dealt) * threads / (n - dealt));
    return static_cast<int>(((at + 1) * threads - 1) / dealt);  // the last share to begin by `at`
  }

  /// What each thread will read first in a call to come (size() entries, which outlive it): from
  /// the end of the next run on, threads that wait bring it near.
  void expect(const ReadAhead* of_thread) { expected_ = of_thread; }

  /// f(begin, end, thread) over [0, n): each thread has one long range, three quarters of its
  /// share, and takes small pieces of the rest as it comes free, so that a thread whose processor
  /// is busy elsewhere holds nobody up. `piece`: smaller ones, where each takes long.
  template <class F>
  void for_shares(std::int64_t n, F&& f, std::int64_t piece = 0) {
    if (n_threads_ == 1 || n <= 1) {
      if (n > 0) f(std::int64_t{0}, n, 0);
      return;
    }
    if (piece == 0) piece = dealing(n, n_threads_).piece;
    std::atomic<std::int64_t> next{dealing(n, n_threads_).dealt};
    run([&](int thread, int threads) {
      const std::int64_t begin = share_begin(n, thread, threads);
      const std::int64_t end = share_begin(n, thread + 1, threads);
      if (begin < end) f(begin, end, thread);
      while (true) {
        const std::int64_t at = next.fetch_add(piece, std::memory_order_relaxed);
        if (at >= n) return;
        f(at, at + piece < n ? at + piece : n, thread);
      }
    });
  }

 private:
  using Task = void (*)(void* context, int thread, int n_threads);
  void start(Task task, void* context);
  void work(int thread);
  ReadAhead expected_by(int thread) const;
  void place_workers();

  int n_threads_;
  int spins_;
  ThreadPlacement placement_;
  int pinned_ = 0;
  std::optional<PinnedCaller> caller_;
  Task task_ = nullptr;
  void* context_ = nullptr;
  const ReadAhead* expected_ = nullptr;  ///< read by a thread while it runs a task
  std::atomic<std::uint32_t> generation_{0};
  std::atomic<int> running_{0};
  std::atomic<bool> stop_{false};
  std::vector<std::thread> workers_;
};

/// Processors this process may use: affinity mask and cgroup CPU limit, at least 1.
int usable_processors();

}  // namespace checkbit
