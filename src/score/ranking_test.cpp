#include "score/ranking.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/random.h"
#include "score/linear_fit.h"

namespace checkbit {
namespace {

using Doubles = std::vector<double>;
using Bits = std::vector<std::uint8_t>;
using Blocks = std::vector<std::uint32_t>;

/// Written by tests/report/make_ranking_goldens.py with scikit-learn.
const nlohmann::json& goldens() {
  static const nlohmann::json data = nlohmann::json::parse(
      std::ifstream(std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/report_ranking.json"));
  return data;
}

void expect_estimate(const std::optional<Estimate>& estimate, const nlohmann::json& expected) {
  ASSERT_TRUE(estimate.has_value() && estimate->interval.has_value());
  EXPECT_NEAR(estimate->value, expected[0].get<double>(), 1e-12);
  EXPECT_NEAR(estimate->interval->low, expected[1].get<double>(), 1e-9);
  EXPECT_NEAR(estimate->interval->high, expected[2].get<double>(), 1e-9);
}

TEST(Ranking, AreasAndTheirIntervals) {
  for (const auto& golden : goldens()["ranking"]) {
    const auto scores = golden["scores"].get<Doubles>();
    const auto failed = golden["failed"].get<Bits>();
    const auto blocks = golden["blocks"].get<Blocks>();
    const auto plain = auc(scores, {failed, {}});
    ASSERT_TRUE(plain);
    EXPECT_NEAR(plain->value, golden["auc"].get<double>(), 1e-12);
    expect_estimate(plain, golden["delong"]);
    expect_estimate(auc(scores, {failed, blocks}), golden["clustered"]);
    expect_estimate(auc_difference(scores, golden["other"].get<Doubles>(), {failed, {}}),
                    golden["difference"]);
  }
}

TEST(Ranking, NothingToTellApart) {
  const Doubles scores = {1, 2, 3};
  EXPECT_FALSE(auc(scores, {Bits{0, 0, 0}, {}}));
  EXPECT_FALSE(auc(scores, {Bits{1, 1, 1}, {}}));
  const auto one = auc(scores, {Bits{0, 0, 1}, {}});
  ASSERT_TRUE(one);
  EXPECT_EQ(one->value, 1);
  EXPECT_FALSE(one->interval) << "one failure has no variance";
  const auto few = auc(Doubles{1, 2, 3, 4}, {Bits{0, 1, 0, 1}, Blocks{0, 0, 1, 1}});
  EXPECT_FALSE(few->interval) << "two blocks are too few";
}

/// Tokens of a window share luck: 95 % intervals must hold the truth as often over windows.
TEST(Ranking, IntervalsCoverDependentItems) {
  constexpr int kRuns = 300;
  constexpr std::size_t kBlocks = 40;
  constexpr std::size_t kOfBlock = 25;
  const double truth = normal_probability(1 / std::sqrt(2 * 1.5));
  int covered = 0;
  int covered_without_blocks = 0;
  for (int run = 0; run < kRuns; ++run) {
    Random random(11, static_cast<std::uint64_t>(run));
    const auto normal = [&] { return normal_quantile((random.uniform() + 1e-12) / (1 + 2e-12)); };
    Doubles scores;
    Bits failed;
    Blocks blocks;
    for (std::size_t b = 0; b < kBlocks; ++b) {
      // Failures come in clusters, and so do high scores: variance 1 within, a half between.
      const double share = random.uniform();
      const double luck = std::sqrt(0.5) * normal();
      for (std::size_t i = 0; i < kOfBlock; ++i) {
        failed.push_back(random.uniform() < share ? 1 : 0);
        scores.push_back(failed.back() + luck + normal());
        blocks.push_back(static_cast<std::uint32_t>(b));
      }
    }
    const auto holds = [&](const std::optional<Estimate>& e) {
      return e->interval->low <= truth && truth <= e->interval->high;
    };
    covered += holds(auc(scores, {failed, blocks})) ? 1 : 0;
    covered_without_blocks += holds(auc(scores, {failed, {}})) ? 1 : 0;
  }
  EXPECT_GE(covered, kRuns * 91 / 100);
  EXPECT_LE(covered, kRuns * 99 / 100);
  EXPECT_LT(covered_without_blocks, kRuns * 90 / 100) << "or the test is too easy to need blocks";
}

TEST(Ranking, CalibrationErrorAndIsotonicFit) {
  const auto& calibration = goldens()["calibration"];
  const auto p = calibration["p"].get<Doubles>();
  const auto failed = calibration["failed"].get<Bits>();
  Blocks blocks;
  for (std::size_t i = 0; i < p.size(); ++i) blocks.push_back(static_cast<std::uint32_t>(i / 10));
  const Estimate error = calibration_error(p, {failed, blocks});
  EXPECT_NEAR(error.value, calibration["error"].get<double>(), 1e-12);
  ASSERT_TRUE(error.interval);
  EXPECT_LT(error.interval->low, error.value);
  EXPECT_GT(error.interval->high, error.value);
  EXPECT_EQ(calibration_error(Doubles{0, 1, 1}, {Bits{0, 1, 1}, {}}).value, 0);

  const auto& isotonic = goldens()["isotonic"];
  const IsotonicFit fit =
      IsotonicFit::fit(isotonic["scores"].get<Doubles>(), isotonic["failed"].get<Bits>());
  for (std::size_t i = 0; i < isotonic["at"].size(); ++i) {
    EXPECT_NEAR(fit(isotonic["at"][i].get<double>()), isotonic["expected"][i].get<double>(), 1e-9)
        << "at " << isotonic["at"][i];
  }
}

TEST(LinearFit, AgreesWithScikitLearn) {
  const auto& golden = goldens()["linear"];
  Design design(3);
  std::vector<std::size_t> rows;
  for (const auto& row : golden["x"]) {
    design.add(row.get<Doubles>());
    rows.push_back(rows.size());
  }
  const auto y = golden["y"].get<Doubles>();
  const auto expect_near = [&](const LinearFit& fit, const char* name, double tolerance) {
    for (const std::size_t r : rows)
      EXPECT_NEAR(fit(design.row(r)), golden[name][r].get<double>(), tolerance) << name << " " << r;
  };
  expect_near(LinearFit::ridge(design, y, {rows, {}}), "ridge", 1e-9);
  expect_near(LinearFit::ridge(design, y, {rows, golden["weights"].get<Doubles>()}),
              "ridge_weighted", 1e-9);
  expect_near(LinearFit::logistic(design, golden["hit"].get<Doubles>(), {rows, {}}), "logistic",
              1e-5);
}

TEST(LinearFit, ConstantColumnsAndSeparableClassesAreHarmless) {
  Design design(2);
  Doubles y;
  std::vector<std::size_t> rows;
  for (int i = 0; i < 20; ++i) {
    design.add(Doubles{7, static_cast<double>(i)});
    y.push_back(i < 10 ? 0 : 1);
    rows.push_back(rows.size());
  }
  const LinearFit fit = LinearFit::logistic(design, y, {rows, {}});
  EXPECT_LT(logistic_function(fit(Doubles{7, 0})), 0.1);
  EXPECT_GT(logistic_function(fit(Doubles{7, 19})), 0.9);
  EXPECT_EQ(logistic_function(-1000), 0);
  EXPECT_EQ(logistic_function(1000), 1);
  EXPECT_EQ(design.quadratic().columns(), 5U);
}

TEST(Correlation, AgreesWithScipy) {
  const auto& golden = goldens()["correlation"];
  const auto x = golden["x"].get<Doubles>();
  const auto y = golden["y"].get<Doubles>();
  EXPECT_NEAR(correlation(x, y), golden["pearson"].get<double>(), 1e-12);
  EXPECT_NEAR(rank_correlation(x, y), golden["spearman"].get<double>(), 1e-12);
  EXPECT_EQ(correlation(x, Doubles(x.size(), 2.0)), 0);
}

}  // namespace
}  // namespace checkbit
