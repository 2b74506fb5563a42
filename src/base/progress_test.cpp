#include "base/progress.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace checkbit {
namespace {

class Recorder : public ProgressSink {
 public:
  Recorder() : before_(set_progress_sink(this)) {}
  ~Recorder() override { set_progress_sink(before_); }
  void update(const ProgressState& state) override { states.push_back(state); }
  std::vector<ProgressState> states;

 private:
  ProgressSink* before_;
};

TEST(Progress, ReportsTheStartAndTheEnd) {
  Recorder recorder;
  {
    Progress progress("counting", 10, "sheep");
    progress.advance(3);
    progress.advance(7);
  }
  ASSERT_GE(recorder.states.size(), 2u);
  EXPECT_EQ(recorder.states.front().done, 0u);
  EXPECT_FALSE(recorder.states.front().finished);
  EXPECT_EQ(recorder.states.back().done, 10u);
  EXPECT_EQ(recorder.states.back().total, 10u);
  EXPECT_EQ(recorder.states.back().unit, "sheep");
  EXPECT_TRUE(recorder.states.back().finished);
}

TEST(Progress, LimitsHowOftenItReports) {
  Recorder recorder;
  {
    Progress progress("counting", 100000, "sheep");
    for (int i = 0; i < 100000; ++i) progress.advance();
  }
  // 100,000 steps take well under a second: first, at most ten a second, last.
  EXPECT_LE(recorder.states.size(), 30u);
}

TEST(Progress, RateLeavesOutWhatWasThereBefore) {
  ProgressState state;
  state.initial = 900;
  state.done = 1000;
  state.elapsed_seconds = 2;
  EXPECT_DOUBLE_EQ(state.per_second(), 50);
}

TEST(Progress, CountsFromManyThreads) {
  Recorder recorder;
  {
    Progress progress("counting", 4000, "sheep");
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 1000; ++i) progress.advance();
      });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(progress.done(), 4000u);
  }
  EXPECT_EQ(recorder.states.back().done, 4000u);
}

TEST(Progress, NoSinkIsFine) {
  Progress progress("counting", 0, "sheep");
  progress.advance(5);
  EXPECT_EQ(progress.done(), 5u);
}

TEST(Cancel, IsSeenUntilCleared) {
  clear_cancel();
  EXPECT_FALSE(cancel_requested());
  request_cancel();
  EXPECT_TRUE(cancel_requested());
  clear_cancel();
  EXPECT_FALSE(cancel_requested());
}

}  // namespace
}  // namespace checkbit
