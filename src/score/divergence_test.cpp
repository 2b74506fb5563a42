#include "score/divergence.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/random.h"

namespace checkbit {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Written by tests/report/make_score_goldens.py with scipy in extended precision.
nlohmann::json golden_rows() {
  std::ifstream file(std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/report_score.json");
  return nlohmann::json::parse(file)["rows"];
}

std::vector<float> random_row(std::size_t size, std::uint64_t seed, float spread) {
  Random random(seed);
  std::vector<float> row(size);
  for (float& value : row) value = (random.uniform_float() - 0.5F) * spread;
  return row;
}

TEST(Divergence, MatchesScipy) {
  for (const auto& golden : golden_rows()) {
    SCOPED_TRACE(golden["name"].get<std::string>());
    const auto reference = golden["reference"].get<std::vector<float>>();
    const auto model = golden["model"].get<std::vector<float>>();
    const auto token = golden["token"].get<std::size_t>();
    const RowComparison row = compare_rows(reference, model);
    ASSERT_TRUE(row.reference.finite && row.model.finite);
    EXPECT_EQ(row.reference.top, golden["top_p"].get<std::size_t>());
    EXPECT_EQ(row.model.top, golden["top_q"].get<std::size_t>());
    const double kl = golden["kl"].get<double>();
    EXPECT_NEAR(row.kl_divergence, kl, 2e-15 * std::max(1.0, kl));
    const double log_p = golden["log_p"].get<double>();
    EXPECT_NEAR(log_probability(reference, row.reference, token), log_p,
                2e-15 * std::max(1.0, -log_p));
    const double log_q = golden["log_q"].get<double>();
    EXPECT_NEAR(log_probability(model, row.model, token), log_q, 2e-15 * std::max(1.0, -log_q));
  }
}

TEST(Divergence, OneRowAgreesWithTwo) {
  const auto reference = random_row(1003, 1, 20);
  const auto model = random_row(1003, 2, 20);
  const RowComparison both = compare_rows(reference, model);
  const RowSummary alone = summarize_row(model);
  EXPECT_EQ(alone.max, both.model.max);
  EXPECT_EQ(alone.log_sum, both.model.log_sum);
  EXPECT_EQ(alone.top, both.model.top);
}

TEST(Divergence, EqualRowsHaveNone) {
  const auto row = random_row(4097, 3, 30);
  EXPECT_EQ(compare_rows(row, row).kl_divergence, 0.0);
}

TEST(Divergence, ShiftedRowsHaveNone) {
  auto row = random_row(500, 4, 8);
  for (float& value : row) value = std::round(value * 64) / 64;  // so that the shift is exact
  auto shifted = row;
  for (float& value : shifted) value += 100;
  EXPECT_EQ(compare_rows(row, shifted).kl_divergence, 0.0);
}

TEST(Divergence, IsNeverNegative) {
  const auto row = random_row(300, 5, 10);
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    auto nearby = row;
    Random random(seed);
    for (float& value : nearby) value += (random.uniform_float() - 0.5F) * 1e-6F;
    EXPECT_GE(compare_rows(row, nearby).kl_divergence, 0.0);
    EXPECT_LT(compare_rows(row, nearby).kl_divergence, 1e-12);
  }
}

TEST(Divergence, SameBitsFromEveryBody) {
  if (!detail::wide_rows()) GTEST_SKIP() << "this machine has only the plain body";
  for (const std::size_t size : {1, 7, 8, 9, 1000, 49152}) {
    const auto reference = random_row(size, 6, 25);
    const auto model = random_row(size, 7, 25);
    const RowComparison wide = compare_rows(reference, model);
    const RowSummary wide_row = summarize_row(model);
    detail::set_wide_rows(false);
    const RowComparison plain = compare_rows(reference, model);
    const RowSummary plain_row = summarize_row(model);
    detail::set_wide_rows(true);
    EXPECT_EQ(wide.kl_divergence, plain.kl_divergence) << size;
    EXPECT_EQ(wide.reference.log_sum, plain.reference.log_sum) << size;
    EXPECT_EQ(wide_row.log_sum, plain_row.log_sum) << size;
  }
}

TEST(Divergence, ProbabilitiesAddUpToOne) {
  const auto row = random_row(999, 8, 12);
  const RowSummary summary = summarize_row(row);
  double sum = 0;
  for (std::size_t i = 0; i < row.size(); ++i) sum += std::exp(log_probability(row, summary, i));
  EXPECT_NEAR(sum, 1, 1e-13);
}

TEST(Divergence, UnusableRowsSaySo) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const std::size_t where : {0, 5, 15, 16}) {
    for (const float bad : {nan, kInfinity}) {
      auto row = random_row(17, 9, 5);
      row[where] = bad;
      EXPECT_FALSE(summarize_row(row).finite) << where << " " << bad;
      EXPECT_FALSE(compare_rows(random_row(17, 10, 5), row).model.finite);
      EXPECT_FALSE(compare_rows(row, random_row(17, 10, 5)).reference.finite);
    }
  }
  EXPECT_FALSE(summarize_row(std::vector<float>(20, -kInfinity)).finite);
  EXPECT_FALSE(summarize_row(std::vector<float>(20, nan)).finite);
}

TEST(Divergence, MaskedTokensAreLegal) {
  const std::vector<float> masked = {1, 2, -kInfinity, 0};
  const std::vector<float> open = {1, 2, 3, 0};
  EXPECT_EQ(compare_rows(masked, masked).kl_divergence, 0.0);
  EXPECT_TRUE(std::isfinite(compare_rows(masked, open).kl_divergence));
  EXPECT_EQ(compare_rows(open, masked).kl_divergence, std::numeric_limits<double>::infinity());
  EXPECT_EQ(log_probability(masked, summarize_row(masked), 2), -kInfinity);
}

TEST(Divergence, OurExponentialIsAccurate) {
  double worst = 0;
  for (double x = -708; x <= 0; x += 0.00371) {
    const double exact = std::exp(x);
    const double unit = std::nextafter(exact, 2) - exact;
    worst = std::max(worst, std::abs(detail::exp_nonpositive(x) - exact) / unit);
  }
  EXPECT_LE(worst, 1.0);
  EXPECT_EQ(detail::exp_nonpositive(0), 1.0);
  EXPECT_EQ(detail::exp_nonpositive(-0.0), 1.0);
  EXPECT_EQ(detail::exp_nonpositive(-1000), 0.0);
  EXPECT_EQ(detail::exp_nonpositive(-std::numeric_limits<double>::infinity()), 0.0);
}

}  // namespace
}  // namespace checkbit
