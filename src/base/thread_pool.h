// A fork-join pool: run one function on every thread and wait for all.
//
// What: `run(f)` calls f(thread, n_threads) on the caller (thread 0) and on n_threads - 1 workers.
//   Workers spin shortly between calls, because a token takes hundreds of them, and then sleep.
// Preconditions: run is not called from inside run, nor from two threads at once.
// Errors: f must not throw.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace checkbit {

/// Memory that a thread reads soon.
struct ReadAhead {
  const std::uint8_t* data = nullptr;
  std::size_t bytes = 0;
};

class ThreadPool {
 public:
  explicit ThreadPool(int n_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return n_threads_; }

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

  /// Where a thread's long range of for_shares(n) begins.
  static std::int64_t share_begin(std::int64_t n, int thread, int threads) {
    return n * 3 / 4 * thread / threads;
  }

  /// What each thread will read first in a call to come (size() entries, which outlive it): from
  /// the end of the next run on, threads that wait bring it near.
  void expect(const ReadAhead* of_thread) { expected_ = of_thread; }

  /// f(begin, end, thread) over [0, n): each thread has one long range, three quarters of its
  /// share, and takes small pieces of the rest as it comes free, so that a thread whose processor
  /// is busy elsewhere holds nobody up.
  template <class F>
  void for_shares(std::int64_t n, F&& f) {
    constexpr std::int64_t kPieces = 4;  // of the rest, a thread
    if (n_threads_ == 1 || n <= 1) {
      if (n > 0) f(std::int64_t{0}, n, 0);
      return;
    }
    const std::int64_t dealt = n * 3 / 4;
    const std::int64_t piece = (n - dealt + kPieces * n_threads_ - 1) / (kPieces * n_threads_);
    std::atomic<std::int64_t> next{dealt};
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

  int n_threads_;
  int spins_;
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
