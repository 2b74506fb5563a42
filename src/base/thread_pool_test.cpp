// Every thread runs every call exactly once, ranges cover what they should, and what a call wrote
// is seen after it.

#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <chrono>
#include <vector>

namespace checkbit {
namespace {

TEST(ThreadPool, RunsOnEveryThreadOncePerCall) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    ASSERT_EQ(pool.size(), threads);
    std::vector<int> calls(static_cast<std::size_t>(threads), 0);  // not atomic: one owner each
    for (int round = 0; round < 25; ++round) {
      pool.run([&](int thread, int n) {
        EXPECT_EQ(n, threads);
        ++calls[static_cast<std::size_t>(thread)];
      });
      for (const int count : calls) ASSERT_EQ(count, round + 1);
    }
  }
}

TEST(ThreadPool, RangesCoverEverythingOnce) {
  for (const int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    for (const std::int64_t n : {0, 1, 2, 4, 5, 6, 1000}) {
      std::vector<int> seen(static_cast<std::size_t>(n), 0);
      pool.for_ranges(n, [&](std::int64_t begin, std::int64_t end) {
        EXPECT_LT(begin, end);
        for (std::int64_t i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
      });
      for (const int count : seen) ASSERT_EQ(count, 1) << threads << " threads, " << n;
    }
  }
}

TEST(ThreadPool, SharesCoverEverythingOnce) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    for (const std::int64_t n : {0, 1, 2, 3, 7, 8, 31, 32, 1000}) {
      std::vector<std::atomic<int>> seen(static_cast<std::size_t>(n));
      pool.for_shares(n, [&](std::int64_t begin, std::int64_t end, int thread) {
        EXPECT_LT(begin, end);
        EXPECT_TRUE(thread >= 0 && thread < threads);
        for (std::int64_t i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
      });
      for (const auto& count : seen) EXPECT_EQ(count.load(), 1) << threads << " threads, " << n;
    }
  }
}

TEST(ThreadPool, FewerThanOneThreadIsOne) {
  ThreadPool pool(0);
  EXPECT_EQ(pool.size(), 1);
  bool ran = false;
  pool.run([&](int thread, int n) { ran = thread == 0 && n == 1; });
  EXPECT_TRUE(ran);
}

TEST(ThreadPool, CanBeMadeAndUnmadeWithoutWork) {
  for (int i = 0; i < 50; ++i) ThreadPool pool(4);
}

TEST(ThreadPool, WakesAfterSleep) {
  ThreadPool pool(2);
  std::atomic<int> sum{0};
  pool.run([&](int, int) { ++sum; });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  pool.run([&](int, int) { ++sum; });
  EXPECT_EQ(sum, 4);
}

TEST(ThreadPool, WhatIsExpectedChangesNoResult) {
  const std::vector<std::uint8_t> memory(100'001);
  for (const int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    const std::vector<ReadAhead> of_thread(static_cast<std::size_t>(threads),
                                           {memory.data(), memory.size()});
    const std::vector<ReadAhead> nothing(static_cast<std::size_t>(threads));
    std::atomic<std::int64_t> sum{0};
    for (int round = 0; round < 300; ++round) {
      pool.expect(round % 3 == 0 ? nullptr : round % 3 == 1 ? of_thread.data() : nothing.data());
      pool.for_shares(100, [&](std::int64_t begin, std::int64_t end, int) { sum += end - begin; });
    }
    EXPECT_EQ(sum, 300 * 100) << threads;
  }
}

TEST(ThreadPool, SharesBeginWhereTheyAreSaidTo) {
  ThreadPool pool(3);
  for (const std::int64_t n : {1, 2, 7, 100}) {
    std::vector<std::int64_t> first(3, -1);
    pool.for_shares(n, [&](std::int64_t begin, std::int64_t, int thread) {
      std::int64_t& at = first[static_cast<std::size_t>(thread)];
      if (at < 0) at = begin;
    });
    for (int thread = 0; thread < 3; ++thread) {
      if (ThreadPool::share_begin(n, thread, 3) == ThreadPool::share_begin(n, thread + 1, 3))
        continue;
      EXPECT_EQ(first[static_cast<std::size_t>(thread)], ThreadPool::share_begin(n, thread, 3))
          << n;
    }
  }
}

TEST(UsableProcessors, AreAtLeastOneAndNotMoreThanTheMachineHas) {
  EXPECT_GE(usable_processors(), 1);
  EXPECT_LE(usable_processors(), static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace
}  // namespace checkbit
