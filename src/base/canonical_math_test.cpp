// canonical_math.h against the C library in long double.

#include "base/canonical_math.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"

namespace checkbit {
namespace {

constexpr double kBound = 1e-14;

double relative(double got, long double want) {
  return static_cast<double>(std::fabs((static_cast<long double>(got) - want) / want));
}

TEST(CanonicalMath, ExpIsWithinItsBound) {
  Random random(1);
  double worst = 0;
  for (int i = 0; i < 20000; ++i) {
    const double x = (2 * random.uniform() - 1) * 700;
    worst = std::max(worst, relative(canonical_exp(x), std::exp(static_cast<long double>(x))));
  }
  EXPECT_LE(worst, kBound);
  EXPECT_EQ(canonical_exp(0), 1.0);
  EXPECT_EQ(canonical_exp(-0.0), 1.0);
  EXPECT_EQ(canonical_exp(-746), 0.0);
  EXPECT_EQ(canonical_exp(710), HUGE_VAL);
}

TEST(CanonicalMath, LogIsWithinItsBound) {
  Random random(2);
  double worst = 0;
  for (int i = 0; i < 20000; ++i) {
    const double x = std::ldexp(1 + random.uniform(), static_cast<int>(random.below(2000)) - 1000);
    const long double want = std::log(static_cast<long double>(x));
    if (std::fabs(want) > 1e-3L) worst = std::max(worst, relative(canonical_log(x), want));
  }
  EXPECT_LE(worst, kBound);
  EXPECT_EQ(canonical_log(1), 0.0);
}

/// The largest error over arguments of every size from 0.1 to 10^largest_power.
double worst_sincos(double largest_power) {
  Random random(3);
  double worst = 0;
  for (int i = 0; i < 40000; ++i) {
    const double size = std::pow(10.0, (largest_power + 1) * random.uniform() - 1);
    const double x = (2 * random.uniform() - 1) * size;
    double sine = 0;
    double cosine = 0;
    canonical_sincos(x, sine, cosine);
    const auto wide = static_cast<long double>(x);
    worst = std::max(worst, static_cast<double>(std::fabs(static_cast<long double>(sine) - std::sin(wide))));
    worst = std::max(worst, static_cast<double>(std::fabs(static_cast<long double>(cosine) - std::cos(wide))));
  }
  return worst;
}

TEST(CanonicalMath, SineAndCosineAreWithinTheirBound) {
  EXPECT_LE(worst_sincos(6), kBound);
  EXPECT_LE(worst_sincos(7), 2e-9);
}

TEST(CanonicalMath, PowersAreClose) {
  for (const double base : {10000.0, 500000.0, 1e6, 500.0}) {
    for (int i = 0; i < 64; ++i) {
      const double exponent = -i / 64.0;
      EXPECT_LE(relative(canonical_pow(base, exponent), std::pow(static_cast<long double>(base), static_cast<long double>(exponent))),
                5 * kBound);
    }
  }
}

}  // namespace
}  // namespace checkbit
