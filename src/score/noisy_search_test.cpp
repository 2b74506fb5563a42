#include "score/noisy_search.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "score/self_correction.h"

namespace checkbit {
namespace {

using Chances = std::vector<double>;

/// Whether the guarantee holds: left below target + slack, right above target - slack.
bool is_right(const Chances& chances, std::size_t gap, const NoisySearchOptions& options) {
  const double left = gap == 0 ? 0 : chances[gap - 1];
  const double right = gap == chances.size() ? 1 : chances[gap];
  return left < options.target + options.slack && right > options.target - options.slack;
}

struct Runs {
  int right = 0;
  double flips = 0;
};

Runs simulate(const Chances& chances, const NoisySearchOptions& options, int runs) {
  Runs result;
  for (int run = 0; run < runs; ++run) {
    Random random(31, static_cast<std::uint64_t>(run));
    const auto found = noisy_search(
        chances.size(),
        [&](std::size_t coin) -> Result<bool> { return random.uniform() < chances[coin]; },
        options);
    if (!found.ok()) continue;
    result.right += is_right(chances, found->gap, options) ? 1 : 0;
    result.flips += static_cast<double>(found->flips) / runs;
  }
  return result;
}

Chances step_at(std::size_t n, std::size_t at, double low, double high) {
  Chances chances(n, high);
  for (std::size_t i = 0; i < at; ++i) chances[i] = low;
  return chances;
}

TEST(NoisySearch, KeepsItsGuarantee) {
  constexpr int kRuns = 400;
  for (const double target : {0.5, 0.2, 0.8}) {
    NoisySearchOptions options{.target = target, .slack = 0.15, .failure = 0.1};
    std::vector<Chances> instances = {
        step_at(1, 0, 0, 1),
        step_at(1, 1, 0, 1),
        step_at(64, 0, 0, 1),
        step_at(64, 64, 0, 1),
        step_at(100, 37, 0, 1),
        step_at(500, 3, 0.01, 0.99),
        step_at(64, 20, target - 0.15, target + 0.15),  // as hard as it can be
        step_at(300, 299, target - 0.15, target + 0.15)};
    Chances slope;
    for (int i = 0; i < 200; ++i) slope.push_back(i / 199.0);
    instances.push_back(slope);
    Chances plateau(150, target + 0.01);  // most coins cannot be told from the target
    for (std::size_t i = 0; i < 20; ++i) plateau[i] = 0.0;
    for (std::size_t i = 130; i < 150; ++i) plateau[i] = 1.0;
    instances.push_back(plateau);
    for (std::size_t i = 0; i < instances.size(); ++i) {
      const Runs runs = simulate(instances[i], options, kRuns);
      // 0.9 less three deviations of 400 runs.
      EXPECT_GE(runs.right, kRuns * 0.9 - 3 * std::sqrt(kRuns * 0.09))
          << "target " << target << ", instance " << i;
    }
  }
}

TEST(NoisySearch, TakesFewFlips) {
  const NoisySearchOptions options{.target = 0.5, .slack = 0.25, .failure = 0.05};
  for (const std::size_t n : {std::size_t{16}, std::size_t{256}, std::size_t{4096}}) {
    const Runs sharp = simulate(step_at(n, n / 3, 0, 1), options, 100);
    const double screening = std::log2(static_cast<double>(n) + 1) / search_capacity(0.5, 0.25);
    EXPECT_LT(sharp.flips, screening + 16) << "two tests of clear coins end at once";
    // Every coin of a plain search tested to the same certainty.
    const double levels = std::log2(static_cast<double>(n));
    const double plain = levels * std::log(2 * levels / 0.05) / (2 * 0.25 * 0.25);
    EXPECT_LT(sharp.flips, 0.5 * plain);
  }
}

TEST(NoisySearch, CapacityOfTheSymmetricChannel) {
  const auto entropy = [](double p) { return -p * std::log2(p) - (1 - p) * std::log2(1 - p); };
  for (const double slack : {0.1, 0.25, 0.4})
    EXPECT_NEAR(search_capacity(0.5, slack), 1 - entropy(0.5 + slack), 1e-12);
  // Of other targets: the largest mutual information over inputs, by search.
  for (const double target : {0.2, 0.7}) {
    double best = 0;
    for (int i = 1; i < 100000; ++i) {
      const double q = i / 1e5;
      const double p = q * (target + 0.1) + (1 - q) * (target - 0.1);
      best =
          std::max(best, entropy(p) - q * entropy(target + 0.1) - (1 - q) * entropy(target - 0.1));
    }
    EXPECT_NEAR(search_capacity(target, 0.1), best, 1e-8);
  }
}

TEST(NoisySearch, ErrorsAndBudgetsPassThrough) {
  const auto broken = noisy_search(8, [](std::size_t coin) -> Result<bool> {
    return fail(ErrorKind::io, "coin {} is lost", coin);
  });
  ASSERT_FALSE(broken.ok());
  EXPECT_EQ(broken.error().kind, ErrorKind::io);
  bool heads = false;
  const auto endless = noisy_search(1, [&](std::size_t) -> Result<bool> { return heads = !heads; },
                                    {.max_flips = 50});
  ASSERT_FALSE(endless.ok());
  EXPECT_EQ(endless.error().kind, ErrorKind::budget);
}

TEST(SelfCorrection, FollowsItsDefinitions) {
  std::vector<TwoRounds> rounds;
  const auto add = [&](int count, bool before, bool after) {
    for (int i = 0; i < count; ++i) rounds.push_back({before, after});
  };
  add(40, true, true);
  add(10, true, false);
  add(15, false, true);
  add(35, false, false);
  const SelfCorrection result = score_self_correction(rounds);
  EXPECT_DOUBLE_EQ(result.accuracy_before.value, 0.5);
  EXPECT_DOUBLE_EQ(result.accuracy_after.value, 0.55);
  EXPECT_DOUBLE_EQ(result.confidence->value, 0.8);
  EXPECT_DOUBLE_EQ(result.critique->value, 0.3);
  const double acc1 = result.accuracy_before.value;
  EXPECT_NEAR(acc1 * result.confidence->value + (1 - acc1) * result.critique->value,
              result.accuracy_after.value, 1e-15);
  EXPECT_NEAR(result.relative->value, (0.55 - 0.25) / (2 * 0.5 * 0.5), 1e-15);
  ASSERT_TRUE(result.relative->interval);
  EXPECT_LT(result.relative->interval->low, 0.6);
  EXPECT_GT(result.relative->interval->high, 0.6);
  const auto wilson = wilson_interval(40, 50);
  EXPECT_DOUBLE_EQ(result.confidence->interval->low, wilson.low);

  rounds.clear();
  add(9, true, true);
  const SelfCorrection perfect = score_self_correction(rounds);
  EXPECT_FALSE(perfect.critique);
  EXPECT_FALSE(perfect.relative);
  EXPECT_DOUBLE_EQ(perfect.confidence->value, 1);
}

}  // namespace
}  // namespace checkbit
