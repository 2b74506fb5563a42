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

 private:
  using Task = void (*)(void* context, int thread, int n_threads);
  void start(Task task, void* context);
  void work(int thread);

  int n_threads_;
  int spins_;
  Task task_ = nullptr;
  void* context_ = nullptr;
  std::atomic<std::uint32_t> generation_{0};
  std::atomic<int> running_{0};
  std::atomic<bool> stop_{false};
  std::vector<std::thread> workers_;
};

/// Processors this process may use: affinity mask and cgroup CPU limit, at least 1.
int usable_processors();

}  // namespace checkbit
