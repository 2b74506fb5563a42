#include "score/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numbers>
#include <string>
#include <vector>

#include "base/random.h"
#include "score/paired_tests.h"
#include "score/ratio_sums.h"

namespace checkbit {
namespace {

nlohmann::json goldens(const char* part) {
  std::ifstream file(std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/report_score.json");
  nlohmann::json values = nlohmann::json::parse(file).at(part);
  EXPECT_FALSE(values.empty()) << part;
  return values;
}

double mean_of(std::span<const double> sums) { return sums[0] / sums[1]; }

BlockTable table_of(const std::vector<double>& values) {
  BlockTable table(2);
  for (const double value : values) table.add(std::vector<double>{value, 1});
  return table;
}

double normal(Random& random) {
  const double radius = std::sqrt(-2 * std::log(1 - random.uniform()));
  return radius * std::cos(2 * std::numbers::pi * random.uniform());
}

TEST(Statistics, QuantilesMatchScipy) {
  for (const auto& golden : goldens("student")) {
    const double t = golden["t"].get<double>();
    EXPECT_NEAR(student_quantile(golden["p"], golden["degrees"]), t, 1e-9 * std::abs(t)) << golden;
  }
  for (const auto& golden : goldens("normal")) {
    EXPECT_NEAR(normal_quantile(golden["p"]), golden["z"].get<double>(), 1e-12) << golden;
  }
}

TEST(Statistics, WilsonMatchesScipy) {
  for (const auto& golden : goldens("wilson")) {
    const Interval interval = wilson_interval(golden["hits"], golden["trials"]);
    EXPECT_NEAR(interval.low, golden["low"].get<double>(), 1e-12) << golden;
    EXPECT_NEAR(interval.high, golden["high"].get<double>(), 1e-12) << golden;
  }
  EXPECT_EQ(wilson_interval(0, 0).low, 0);
  EXPECT_EQ(wilson_interval(0, 0).high, 1);
}

TEST(Statistics, WelfordAgreesWithTwoPassesAndMerges) {
  const std::vector<double> values = {1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16};
  Welford whole;
  Welford left;
  Welford right;
  for (std::size_t i = 0; i < values.size(); ++i) {
    whole.add(values[i]);
    (i < 1 ? left : right).add(values[i]);
  }
  EXPECT_EQ(whole.mean(), 1e9 + 10);
  EXPECT_EQ(whole.variance(), 30);
  EXPECT_NEAR(whole.standard_error(), std::sqrt(7.5), 1e-12);
  left.merge(right);
  left.merge(Welford());
  EXPECT_EQ(left.count(), 4U);
  EXPECT_NEAR(left.mean(), whole.mean(), 1e-6);
  EXPECT_NEAR(left.variance(), 30, 1e-6);
  EXPECT_EQ(Welford().variance(), 0);
}

TEST(Bootstrap, MatchesScipyBcaForManySkewedBlocks) {
  const auto golden = goldens("bca");
  const BlockTable table = table_of(golden["blocks"].get<std::vector<double>>());
  const Estimate estimate = bootstrap_interval(table, mean_of, {0.95, 40000, 1});
  ASSERT_TRUE(estimate.interval.has_value());
  const double low = golden["low"].get<double>();
  const double high = golden["high"].get<double>();
  // Monte Carlo noise of the bounds and the widened tails: 3 % of the width.
  EXPECT_NEAR(estimate.interval->low, low, 0.03 * (high - low));
  EXPECT_NEAR(estimate.interval->high, high, 0.03 * (high - low));
}

double coverage(std::size_t windows, std::uint64_t seed, bool skewed) {
  constexpr int kExperiments = 600;
  int covered = 0;
  for (int experiment = 0; experiment < kExperiments; ++experiment) {
    Random random(seed, static_cast<std::uint64_t>(experiment));
    std::vector<double> values(windows);
    for (double& value : values) {
      value = skewed ? -std::log(1 - random.uniform()) : 1 + 0.5 * normal(random);
    }
    const BootstrapOptions options{0.95, 800, static_cast<std::uint64_t>(experiment)};
    const Estimate estimate = bootstrap_interval(table_of(values), mean_of, options);
    covered += estimate.interval->low <= 1 && 1 <= estimate.interval->high ? 1 : 0;
  }
  return static_cast<double>(covered) / kExperiments;
}

TEST(Bootstrap, CoversNormalWindowsAsPromised) {
  for (const std::size_t windows : {8, 12, 20, 60}) {
    const double share = coverage(windows, 11, false);
    EXPECT_GE(share, 0.92) << windows << " windows";
    EXPECT_LE(share, 0.975) << windows << " windows";
  }
}

TEST(Bootstrap, CoversSkewedWindows) {
  const double share = coverage(40, 12, true);
  EXPECT_GE(share, 0.92);
  EXPECT_LE(share, 0.975);
}

TEST(Bootstrap, PairedRatioIsMuchTighterThanItsParts) {
  // Windows differ a lot, the two models on one window hardly: only pairing sees that.
  Random random(21);
  BlockTable table(3);
  for (int window = 0; window < 50; ++window) {
    const double hardness = 3 + 0.5 * normal(random);
    const double loss = hardness + 0.02 + 0.005 * normal(random);
    table.add(std::vector<double>{hardness * 255, loss * 255, 255});
  }
  const Estimate ratio = bootstrap_interval(
      table, [](std::span<const double> s) { return std::exp((s[1] - s[0]) / s[2]); });
  const Estimate single =
      bootstrap_interval(table, [](std::span<const double> s) { return std::exp(s[0] / s[2]); });
  const double ratio_width = (ratio.interval->high - ratio.interval->low) / ratio.value;
  const double single_width = (single.interval->high - single.interval->low) / single.value;
  EXPECT_LT(ratio_width * 20, single_width);
  EXPECT_LT(ratio.interval->low, std::exp(0.02));
  EXPECT_GT(ratio.interval->high, std::exp(0.02));
}

TEST(Bootstrap, IsAFunctionOfItsInputs) {
  const BlockTable table = table_of({1.17, 2.31, 3.44, 5.92, 8.15, 13.7, 21.3, 34.9});
  const Estimate first = bootstrap_interval(table, mean_of);
  const Estimate again = bootstrap_interval(table, mean_of);
  EXPECT_EQ(first.interval->low, again.interval->low);
  EXPECT_EQ(first.interval->high, again.interval->high);
  const Estimate other = bootstrap_interval(table, mean_of, {0.95, 4000, 2});
  EXPECT_NE(first.interval->low, other.interval->low);
}

TEST(Bootstrap, ScalesWithTheDataAndNestsWithConfidence) {
  const Estimate plain = bootstrap_interval(table_of({1, 2, 3, 5, 8, 13}), mean_of);
  const Estimate doubled = bootstrap_interval(table_of({2, 4, 6, 10, 16, 26}), mean_of);
  EXPECT_DOUBLE_EQ(doubled.interval->low, 2 * plain.interval->low);
  EXPECT_DOUBLE_EQ(doubled.interval->high, 2 * plain.interval->high);
  const Estimate narrow =
      bootstrap_interval(table_of({1, 2, 3, 5, 8, 13}), mean_of, {0.5, 4000, 1});
  EXPECT_GT(narrow.interval->low, plain.interval->low);
  EXPECT_LT(narrow.interval->high, plain.interval->high);
  EXPECT_LE(narrow.interval->low, narrow.value);
  EXPECT_GE(narrow.interval->high, narrow.value);
}

TEST(Bootstrap, ConstantBlocksGiveAPoint) {
  const Estimate estimate = bootstrap_interval(table_of({4, 4, 4, 4, 4, 4}), mean_of);
  EXPECT_EQ(estimate.interval->low, 4);
  EXPECT_EQ(estimate.interval->high, 4);
}

TEST(Bootstrap, FewBlocksOrAStatisticThatFailsHaveNoInterval) {
  EXPECT_FALSE(bootstrap_interval(table_of({3}), mean_of).interval.has_value());
  EXPECT_FALSE(bootstrap_interval(table_of({3, 4, 3, 5, 6}), mean_of).interval.has_value());
  EXPECT_TRUE(bootstrap_interval(table_of({3, 4, 3, 5, 6, 4}), mean_of).interval.has_value());
  EXPECT_EQ(bootstrap_interval(table_of({3}), mean_of).value, 3);
  const auto fails = [](std::span<const double> s) { return std::log(s[0]); };
  EXPECT_FALSE(bootstrap_interval(table_of({0, 0, 0, 0, 0, 0, 5}), fails).interval.has_value());
}

TEST(Bootstrap, ManyStatisticsGiveWhatOneGives) {
  const BlockTable table = table_of({1.17, 2.31, 3.44, 5.92, 8.15, 13.7, 21.3, 34.9});
  const auto total = [](std::span<const double> sums) { return sums[0]; };
  const Statistic both[] = {mean_of, total};
  const std::vector<Estimate> together = bootstrap_intervals(table, both);
  EXPECT_EQ(together[0].interval->low, bootstrap_interval(table, mean_of).interval->low);
  EXPECT_EQ(together[1].interval->high, bootstrap_interval(table, total).interval->high);
}

TEST(RatioSums, CoverTheRatioOfUnevenBlocks) {
  // Blocks of different weights whose amounts scatter around 0.3 each: as tokens of one class.
  constexpr int kExperiments = 2000;
  for (const std::size_t blocks : {8, 30}) {
    int covered = 0;
    for (int experiment = 0; experiment < kExperiments; ++experiment) {
      Random random(31, static_cast<std::uint64_t>(experiment));
      RatioSums sums;
      for (std::size_t i = 0; i < blocks; ++i) {
        const double weight = 1 + static_cast<double>(random.below(20));
        sums.add(weight * (0.3 + 0.1 * normal(random)), weight);
      }
      const Interval interval = *sums.estimate().interval;
      covered += interval.low <= 0.3 && 0.3 <= interval.high ? 1 : 0;
    }
    const double share = static_cast<double>(covered) / kExperiments;
    EXPECT_GE(share, 0.92) << blocks;
    EXPECT_LE(share, 0.975) << blocks;
  }
}

TEST(RatioSums, AgreesWithTheDefinition) {
  RatioSums sums;
  EXPECT_EQ(sums.estimate().value, 0);
  const std::vector<std::pair<double, double>> blocks = {{3, 2}, {1, 1}, {8, 4}, {2, 2},
                                                         {0, 0}, {5, 3}, {9, 4}, {4, 4}};
  double squares = 0;
  for (const auto& [amount, weight] : blocks) {
    sums.add(amount, weight);
    squares += std::pow(amount - 1.6 * weight, 2);
  }
  EXPECT_EQ(sums.blocks(), 7U) << "a block without weight is none";
  const Estimate estimate = sums.estimate();
  EXPECT_DOUBLE_EQ(estimate.value, 32.0 / 20);
  const double error = std::sqrt(squares * 7 / 6) / 20;
  EXPECT_NEAR(estimate.interval->high - 1.6, student_quantile(0.975, 6) * error, 1e-12);
}

TEST(SignTest, MatchesTheBinomial) {
  EXPECT_EQ(sign_test(0, 0), 1);
  EXPECT_EQ(sign_test(5, 5), 1);
  EXPECT_NEAR(sign_test(0, 6), 2 * std::pow(0.5, 6), 1e-15);
  EXPECT_NEAR(sign_test(6, 0), 2 * std::pow(0.5, 6), 1e-15);
  EXPECT_NEAR(sign_test(8, 2), 2 * (1 + 10 + 45) / 1024.0, 1e-14);
  for (const auto& golden : goldens("sign")) {
    const double p = golden["p"].get<double>();
    EXPECT_NEAR(sign_test(golden["wins"], golden["losses"]), p, 1e-9 * p) << golden;
  }
}

}  // namespace
}  // namespace checkbit
