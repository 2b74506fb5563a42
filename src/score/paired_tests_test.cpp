// Expected values: exact sums of binomial coefficients as Python fractions, and Bonett and Price's
// equation in Python floats.

#include "score/paired_tests.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace checkbit {
namespace {

TEST(PairedTests, McNemarEqualsSumsOfBinomialCoefficients) {
  const struct {
    std::uint64_t first, second;
    double exact, mid;
  } rows[] = {{1, 0, 1.0, 0.5},
              {10, 3, 0.09228515625, 0.057373046875},
              {7, 7, 1.0, 0.895263671875},
              {45, 33, 0.21268281985080578, 0.17661055306016413},
              {5, 21, 0.002493917942047119, 0.0015137195587158203},
              {600, 500, 0.0028195449914364275, 0.002564772797753158},
              {0, 12, 0.00048828125, 0.000244140625}};
  for (const auto& row : rows) {
    const McNemar test = mcnemar_test(row.first, row.second);
    EXPECT_NEAR(test.exact_p, row.exact, 1e-10 * row.exact) << row.first << " " << row.second;
    EXPECT_NEAR(test.mid_p, row.mid, 1e-10 * row.mid) << row.first << " " << row.second;
    const McNemar mirrored = mcnemar_test(row.second, row.first);
    EXPECT_EQ(mirrored.exact_p, test.exact_p);
    EXPECT_EQ(mirrored.mid_p, test.mid_p);
    EXPECT_EQ(sign_test(row.first, row.second), test.exact_p);
  }
}

TEST(PairedTests, NothingToTossIsNoEvidence) {
  EXPECT_EQ(mcnemar_test(0, 0).exact_p, 1);
  EXPECT_EQ(mcnemar_test(0, 0).mid_p, 1);
}

TEST(PairedTests, MillionsOfTossesStayFinite) {
  const McNemar even = mcnemar_test(2'000'000, 2'001'000);
  EXPECT_GT(even.exact_p, 0.6);
  EXPECT_LT(even.exact_p, 0.63);
  EXPECT_EQ(mcnemar_test(4'000'000, 0).exact_p, 0);
}

TEST(PairedTests, DifferenceIntervalIsBonettAndPrices) {
  const struct {
    std::uint64_t first, second, items;
    double low, high;
  } rows[] = {{10, 3, 50, -0.006704008604879741, 0.27593477783564896},
              {0, 0, 20, -0.1259912567590616, 0.1259912567590616},
              {45, 33, 1119, -0.004920937336459066, 0.026330393179456398},
              {5, 0, 5, 0.19583598522357704, 1}};
  for (const auto& row : rows) {
    const Interval interval = paired_difference_interval(row.first, row.second, row.items);
    EXPECT_NEAR(interval.low, row.low, 1e-12);
    EXPECT_NEAR(interval.high, row.high, 1e-12);
  }
}

/// Share of 4,000 simulated pairs whose interval holds the true difference.
TEST(PairedTests, DifferenceIntervalCovers) {
  constexpr double kOnlyFirst = 0.06, kOnlySecond = 0.03;
  constexpr std::uint64_t kItems = 200;
  constexpr int kTrials = 4000;
  int covered = 0;
  for (std::uint64_t trial = 0; trial < kTrials; ++trial) {
    Random random(7, trial);
    std::uint64_t first = 0, second = 0;
    for (std::uint64_t i = 0; i < kItems; ++i) {
      const double draw = random.uniform();
      first += draw < kOnlyFirst ? 1 : 0;
      second += draw >= kOnlyFirst && draw < kOnlyFirst + kOnlySecond ? 1 : 0;
    }
    const Interval interval = paired_difference_interval(first, second, kItems);
    const double truth = kOnlyFirst - kOnlySecond;
    covered += interval.low <= truth && truth <= interval.high ? 1 : 0;
  }
  EXPECT_GT(covered, 0.93 * kTrials);
  EXPECT_LT(covered, 0.98 * kTrials);
}

}  // namespace
}  // namespace checkbit
