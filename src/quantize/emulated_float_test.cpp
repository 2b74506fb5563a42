#include "quantize/emulated_float.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace checkbit {
namespace {

/// All numbers of a float by its definition, scaled so that the top exponent is 0.
std::vector<double> all_values(int exponent_bits, int mantissa_bits) {
  std::vector<double> values;
  const int codes = 1 << exponent_bits;
  const int steps = 1 << mantissa_bits;
  for (int code = 0; code < codes; ++code) {
    for (int m = 0; m < steps; ++m) {
      const double fraction = static_cast<double>(m) / steps;
      const int exponent = std::max(code, 1) - (codes - 1);
      values.push_back((code == 0 ? fraction : 1 + fraction) * std::pow(2.0, exponent));
    }
  }
  return values;
}

TEST(EmulatedFloat, RoundsToTheNearestNumberOfTheFormat) {
  for (const auto& [e, m] : {std::pair{2, 1}, {3, 2}, {2, 3}, {1, 2}, {0, 3}, {4, 0}, {5, 2}}) {
    const std::vector<double> values = all_values(e, m);
    EXPECT_EQ(detail::largest_float(e, m), values.back()) << e << " " << m;
    for (const double value : values) EXPECT_EQ(detail::round_to_float(value, e, m), value);
    for (double x = -2.2; x < 2.2; x += 0.00137) {
      double best = std::numeric_limits<double>::infinity();
      for (const double value : values) best = std::min(best, std::abs(std::abs(x) - value));
      const double rounded = detail::round_to_float(x, e, m);
      EXPECT_NEAR(std::abs(rounded - x), best, 1e-15) << "e" << e << "m" << m << " at " << x;
    }
  }
}

TEST(EmulatedFloat, ScalesEachBlockByItsLargestWeight) {
  std::vector<float> row = {3, -1.4F, 0.6F, 0, 0.03F, -0.01F, 0.02F};
  round_row(row, {.exponent_bits = 2, .mantissa_bits = 1, .block = 4});
  // e2m1 counts 0 0.5 1 1.5 2 3 4 6; with 3 as the largest the steps are halves of those.
  const std::vector<float> first = {3, -1.5F, 0.5F, 0};
  for (std::size_t i = 0; i < first.size(); ++i) EXPECT_FLOAT_EQ(row[i], first[i]) << i;
  EXPECT_NEAR(row[4], 0.03, 1e-5);
  EXPECT_NEAR(row[5], -0.01, 1e-5);
  EXPECT_NEAR(row[6], 0.02, 1e-5);
}

TEST(EmulatedFloat, ABlockOfZerosStaysZero) {
  std::vector<float> row(8, 0);
  round_row(row, {.exponent_bits = 4, .mantissa_bits = 3, .block = 8});
  for (const float value : row) EXPECT_EQ(value, 0);
}

TEST(EmulatedFloat, ReadsNames) {
  const auto parsed = parse_emulated_float("E3M2:b64");
  ASSERT_TRUE(parsed.ok() && parsed->has_value());
  EXPECT_EQ((*parsed)->name(), "e3m2:b64");
  EXPECT_DOUBLE_EQ((*parsed)->bits_per_weight(), 6.25);
  EXPECT_EQ((*parse_emulated_float("e2m1"))->block, 0);
  for (const char* other : {"Q4_K_M", "e", "e2", "e2x1", "em", ""})
    EXPECT_FALSE(parse_emulated_float(other)->has_value()) << other;
  for (const char* bad : {"e9m1", "e2m9", "e0m0", "e2m1:", "e2m1:b0", "e2m1:b9x", "e2m1b3"}) {
    const auto refused = parse_emulated_float(bad);
    ASSERT_FALSE(refused.ok()) << bad;
    EXPECT_EQ(refused.error().kind, ErrorKind::invalid);
    EXPECT_NE(refused.error().message.find(bad), std::string::npos);
  }
}

}  // namespace
}  // namespace checkbit
