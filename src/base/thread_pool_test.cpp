// Every thread runs every call exactly once, ranges cover what they should, and what a call wrote
// is seen after it.

#include "base/thread_pool.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <memory>
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
  for (const int threads : {1, 2, 3, 8, 64}) {
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

/// Threads of equal speed: each takes its share, and who is done first the next piece.
std::int64_t most_of_a_thread(std::int64_t n, int threads) {
  const ThreadPool::Dealing dealing = ThreadPool::dealing(n, threads);
  std::vector<std::int64_t> loads;
  for (int t = 0; t < threads; ++t) {
    loads.push_back(ThreadPool::share_begin(n, t + 1, threads) -
                    ThreadPool::share_begin(n, t, threads));
  }
  for (std::int64_t at = dealing.dealt; at < n; at += dealing.piece)
    *std::ranges::min_element(loads) += std::min(dealing.piece, n - at);
  return std::ranges::max(loads);
}

/// Panels of 16 rows: from a head of keys to a vocabulary of 262,144, and every small number.
TEST(ThreadPool, SixtyFourThreadsBalance) {
  std::vector<std::int64_t> panels = {560, 632, 1120, 3072, 9496, 16384};
  for (std::int64_t n = 1; n <= 512; ++n) panels.push_back(n);
  for (const int threads : {2, 3, 8, 48, 64, 128}) {
    for (const std::int64_t n : panels) {
      const std::int64_t fair = (n + threads - 1) / threads;
      EXPECT_LE(most_of_a_thread(n, threads), fair + ThreadPool::dealing(n, threads).piece)
          << n << " over " << threads;
      if (n <= threads) {
        EXPECT_EQ(most_of_a_thread(n, threads), 1) << n << " over " << threads;
      }
    }
  }
}

TEST(ThreadPool, ReadersAreThoseWhoseShareItIs) {
  for (const int threads : {1, 2, 3, 7, 64}) {
    for (const std::int64_t n : {1, 2, 5, 36, 63, 64, 65, 560, 9496}) {
      const std::int64_t dealt = ThreadPool::dealing(n, threads).dealt;
      std::vector<std::int64_t> of_rest(static_cast<std::size_t>(threads), 0);
      int before = 0;
      for (std::int64_t at = 0; at < n; ++at) {
        const int reader = ThreadPool::reader_of(at, n, threads);
        ASSERT_TRUE(reader >= 0 && reader < threads) << at << " of " << n;
        if (at >= dealt) {
          ++of_rest[static_cast<std::size_t>(reader)];
          continue;
        }
        ASSERT_LE(ThreadPool::share_begin(n, reader, threads), at) << n << ", " << threads;
        ASSERT_GT(ThreadPool::share_begin(n, reader + 1, threads), at) << n << ", " << threads;
        ASSERT_GE(reader, before);
        before = reader;
      }
      EXPECT_LE(std::ranges::max(of_rest) - std::ranges::min(of_rest), 1) << n << ", " << threads;
    }
  }
}

/// On processors that this machine has, threads stay where they are put, and afterwards the caller
/// runs where it did.
TEST(ThreadPool, PlacedThreadsStayOnTheirProcessors) {
  const std::vector<int> allowed = allowed_processors();
  ASSERT_FALSE(allowed.empty());
  const int usable = usable_processors();
  {
    const ThreadPlacement placement = {.processors = {allowed.back(), allowed.front()}, .nodes = 1};
    ThreadPool pool(5, placement);
    EXPECT_EQ(pool.pinned(), 5);
    std::vector<int> ran_on(5, -1);
    pool.run([&](int thread, int) { ran_on[static_cast<std::size_t>(thread)] = sched_getcpu(); });
    const std::vector<int> expected = {allowed.back(), allowed.front(), allowed.back(),
                                       allowed.front(), allowed.back()};
    EXPECT_EQ(ran_on, expected);
    EXPECT_EQ(usable_processors(), usable) << "a held thread still counts what it may use";
    ThreadPool other(3);  // its workers must not share the caller's processor
    std::vector<std::vector<int>> masks(3);
    other.run([&](int thread, int) {
      if (thread > 0) masks[static_cast<std::size_t>(thread)] = allowed_processors();
    });
    EXPECT_EQ(masks[1], allowed);
    EXPECT_EQ(masks[2], allowed);
  }
  EXPECT_EQ(allowed_processors(), allowed);
}

TEST(ThreadPool, ProcessorsThatAreNotThereHoldNobody) {
  const std::vector<int> allowed = allowed_processors();
  for (const int none : {4095, 1 << 20, -1}) {
    ThreadPool pool(3, {.processors = {none}, .nodes = 1});
    EXPECT_EQ(pool.pinned(), 0);
    std::atomic<int> ran{0};
    pool.run([&](int, int) { ++ran; });
    EXPECT_EQ(ran, 3);
  }
  EXPECT_EQ(allowed_processors(), allowed);
}

/// The pool that goes last gives the caller back, in whatever order they go.
TEST(ThreadPool, TwoPlacedPoolsLeaveTheCallerAsItWas) {
  const std::vector<int> allowed = allowed_processors();
  const ThreadPlacement placement = {.processors = {allowed.front()}, .nodes = 1};
  auto first = std::make_unique<ThreadPool>(2, placement);
  auto second = std::make_unique<ThreadPool>(2, placement);
  first.reset();
  EXPECT_TRUE(PinnedCaller::holds_this_thread());
  second.reset();
  EXPECT_FALSE(PinnedCaller::holds_this_thread());
  EXPECT_EQ(allowed_processors(), allowed);
}

TEST(UsableProcessors, AreAtLeastOneAndNotMoreThanTheMachineHas) {
  EXPECT_GE(usable_processors(), 1);
  EXPECT_LE(usable_processors(), static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace
}  // namespace checkbit
