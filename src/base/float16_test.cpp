// Every binary16 and bfloat16 value there and back, and rounding against exact arithmetic in double.

#include "base/float16.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"

namespace checkbit {
namespace {

/// The value of a finite binary16 by its definition.
double half_value(std::uint32_t half) {
  const int exponent = static_cast<int>(half >> 10 & 31);
  const double fraction = half & 1023;
  const double size = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return half >> 15 != 0 ? -size : size;
}

TEST(Float16, EveryHalfIsExactAndComesBack) {
  for (std::uint32_t half = 0; half < 0x10000; ++half) {
    const float value = half_to_float(static_cast<std::uint16_t>(half));
    if ((half & 0x7c00) != 0x7c00) {
      ASSERT_EQ(value, half_value(half)) << half;
      ASSERT_EQ(std::signbit(value), half >> 15 != 0) << half;
    } else {
      ASSERT_EQ(std::isnan(value), (half & 0x3ff) != 0) << half;
    }
    if (std::isnan(value)) {
      ASSERT_TRUE(std::isnan(half_to_float(float_to_half(value)))) << half;
    } else {
      ASSERT_EQ(float_to_half(value), half);
    }
  }
}

TEST(Float16, RoundsToNearestEven) {
  for (std::uint32_t half = 0; half < 0x7bff; ++half) {
    const auto low = static_cast<float>(half_value(half));
    const auto high = static_cast<float>(half_value(half + 1));
    const auto middle = static_cast<float>((half_value(half) + half_value(half + 1)) / 2);  // exact
    ASSERT_EQ(float_to_half(middle), half % 2 == 0 ? half : half + 1) << half;
    ASSERT_EQ(float_to_half(std::nextafter(middle, low)), half) << half;
    ASSERT_EQ(float_to_half(std::nextafter(middle, high)), half + 1) << half;
  }
  EXPECT_EQ(float_to_half(65519.99f), 0x7bff);
  EXPECT_EQ(float_to_half(65520.0f), 0x7c00) << "the tie goes to infinity";
  EXPECT_EQ(float_to_half(-1e30f), 0xfc00);
}

TEST(Float16, BfloatRoundsToNearestEven) {
  Random random(4);
  for (int i = 0; i < 50000; ++i) {
    const auto bits = static_cast<std::uint32_t>(random.next());
    const auto value = std::bit_cast<float>(bits);
    const std::uint16_t rounded = float_to_bfloat16(value);
    if (std::isnan(value)) {
      ASSERT_TRUE(std::isnan(bfloat16_to_float(rounded)));
      continue;
    }
    const std::uint32_t low = bits >> 16;
    const std::uint32_t rest = bits & 0xffff;
    const std::uint32_t expected = rest < 0x8000 ? low : rest > 0x8000 ? low + 1 : low + (low & 1);
    ASSERT_EQ(rounded, expected) << bits;
  }
  EXPECT_EQ(float_to_bfloat16(std::bit_cast<float>(0x3f808000u)), 0x3f80);
  EXPECT_EQ(float_to_bfloat16(std::bit_cast<float>(0x3f818000u)), 0x3f82);
}

}  // namespace
}  // namespace checkbit
