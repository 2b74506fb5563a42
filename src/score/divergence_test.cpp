#include "score/divergence.h"

#include <gtest/gtest.h>

#include <algorithm>
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
    const double entropy_p = golden["entropy_p"].get<double>();
    const double entropy_q = golden["entropy_q"].get<double>();
    EXPECT_NEAR(row.reference.entropy, entropy_p, 4e-15 * std::max(1.0, entropy_p));
    EXPECT_NEAR(row.model.entropy, entropy_q, 4e-15 * std::max(1.0, entropy_q));
    const TopTokens top = find_top_tokens(model);
    const auto order = golden["order_q"].get<std::vector<std::uint32_t>>();
    ASSERT_EQ(top.count, order.size());
    for (std::size_t i = 0; i < order.size(); ++i) {
      EXPECT_EQ(top.ids[i], order[i]);
      EXPECT_EQ(rank_of(model, top, order[i]), i + 1);
      EXPECT_EQ(rank_of(model, TopTokens(), order[i]), i + 1) << "by counting";
    }
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
  EXPECT_EQ(alone.entropy, both.model.entropy);
}

TEST(TopTokens, AreThoseOfASort) {
  for (const std::size_t size : {1, 9, 10, 63, 64, 65, 1000, 50257}) {
    for (const float spread : {0.0F, 3.0F, 30.0F}) {
      auto row = random_row(size, size, spread);
      for (float& value : row) value = std::round(value * 8) / 8;  // many ties
      std::vector<std::uint32_t> order(size);
      for (std::uint32_t i = 0; i < size; ++i) order[i] = i;
      std::stable_sort(order.begin(), order.end(),
                       [&](std::uint32_t a, std::uint32_t b) { return row[a] > row[b]; });
      const TopTokens top = find_top_tokens(row);
      ASSERT_EQ(top.count, std::min(size, kTopTokens));
      for (std::size_t i = 0; i < top.count; ++i) EXPECT_EQ(top.ids[i], order[i]) << size;
      for (const std::size_t at : {std::size_t{0}, size / 2, size - 1}) {
        EXPECT_EQ(rank_of(row, top, order[at]), at + 1) << size;
      }
    }
  }
}

TEST(TopTokens, LeaveOutWhatIsNoNumber) {
  std::vector<float> row(200, -kInfinity);
  EXPECT_EQ(find_top_tokens(row).count, 0U);
  row[70] = std::numeric_limits<float>::quiet_NaN();
  row[130] = -5;
  row[199] = 2;
  const TopTokens top = find_top_tokens(row);
  ASSERT_EQ(top.count, 2U);
  EXPECT_EQ(top.ids[0], 199U);
  EXPECT_EQ(top.ids[1], 130U);
}

TEST(TopTokens, ShareKeptComparesSets) {
  const auto row = random_row(100, 1, 5);
  const TopTokens top = find_top_tokens(row);
  auto other = row;
  std::swap(other[top.ids[0]], other[top.ids[4]]);  // within the first five
  EXPECT_EQ(share_kept(top, find_top_tokens(other), 5), 1);
  EXPECT_EQ(share_kept(top, find_top_tokens(other), 1), 0);
  other[top.ids[2]] = -100;
  EXPECT_EQ(share_kept(top, find_top_tokens(other), 5), 0.8);
  EXPECT_EQ(share_kept(top, find_top_tokens(other), 10), 0.9);
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
    EXPECT_EQ(wide.reference.entropy, plain.reference.entropy) << size;
    EXPECT_EQ(wide.model.entropy, plain.model.entropy) << size;
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
