#include "score/fit.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "base/random.h"

namespace checkbit {
namespace {

// Misra1a of the NIST Statistical Reference Datasets: y = b1 (1 - exp(-b2 x)), with certified
// values, standard errors and residual deviation.
constexpr std::array kMisraX = {77.6,  114.9, 141.1, 190.8, 239.9, 289.0, 332.8,
                                378.4, 434.8, 477.3, 536.8, 593.1, 689.1, 760.0};
constexpr std::array kMisraY = {10.07, 14.73, 17.94, 23.93, 29.61, 35.18, 40.02,
                                44.82, 50.76, 55.05, 61.01, 66.40, 75.47, 81.78};

TEST(FitLeastSquares, AgreesWithCertifiedValues) {
  const FitProblem problem{.points = kMisraX.size(),
                           .start = {500, 0.0001},
                           .residual = [](std::span<const double> b, std::size_t i) {
                             return b[0] * (1 - std::exp(-b[1] * kMisraX[i])) - kMisraY[i];
                           }};
  const auto fit = fit_least_squares(problem);
  ASSERT_TRUE(fit.ok());
  EXPECT_TRUE(fit->converged);
  EXPECT_NEAR(fit->parameters[0].value, 2.3894212918e+02, 1e-4);
  EXPECT_NEAR(fit->parameters[1].value, 5.5015643181e-04, 1e-9);
  EXPECT_NEAR(fit->residual_deviation, 1.0187876330e-01, 1e-7);
  const double t = 2.1788128297;  // 97.5 % point of Student's t with 12 degrees of freedom
  const Interval& b1 = *fit->parameters[0].interval;
  EXPECT_NEAR((b1.high - b1.low) / 2, t * 2.7070075241, 1e-3);
  const Interval& b2 = *fit->parameters[1].interval;
  EXPECT_NEAR((b2.high - b2.low) / 2, t * 7.2668688436e-06, 1e-9);
}

TEST(FitLeastSquares, NamesWhatPointsDoNotDetermine) {
  // Only the sum of the first two parameters is in the formula.
  const FitProblem problem{
      .points = 8, .start = {0, 0, 0}, .residual = [](std::span<const double> p, std::size_t i) {
        const auto x = static_cast<double>(i);
        return p[0] + p[1] + p[2] * x - (3 + 2 * x + (i % 2 ? 0.1 : -0.1));
      }};
  const auto fit = fit_least_squares(problem);
  ASSERT_TRUE(fit.ok());
  EXPECT_FALSE(fit->parameters[0].interval.has_value());
  EXPECT_FALSE(fit->parameters[1].interval.has_value());
  ASSERT_TRUE(fit->parameters[2].interval.has_value());
  EXPECT_LT(fit->parameters[2].interval->low, 2);
  EXPECT_GT(fit->parameters[2].interval->high, 2);
}

TEST(FitLeastSquares, RefusesMoreParametersThanPointsMinusTwo) {
  const auto residual = [](std::span<const double> p, std::size_t i) {
    return p[0] + p[1] * static_cast<double>(i) - 1;
  };
  const auto few = fit_least_squares({.points = 3, .start = {0, 0}, .residual = residual});
  ASSERT_FALSE(few.ok());
  EXPECT_EQ(few.error().kind, ErrorKind::budget);
  EXPECT_TRUE(fit_least_squares({.points = 4, .start = {0, 0}, .residual = residual}).ok());
}

TEST(FitLeastSquares, RefusesResidualsThatAreNotFinite) {
  const auto fit = fit_least_squares(
      {.points = 4, .start = {0}, .residual = [](std::span<const double> p, std::size_t) {
         return 1 / p[0];
       }});
  ASSERT_FALSE(fit.ok());
  EXPECT_EQ(fit.error().kind, ErrorKind::corrupt);
}

TEST(FitLeastSquares, IntervalsHoldTheTruthNineteenTimesOfTwenty) {
  int held = 0;
  constexpr int kRepeats = 600;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    Random random(7, static_cast<std::uint64_t>(repeat));
    std::array<double, 9> y{};
    for (std::size_t i = 0; i < y.size(); ++i) {
      // A sum of uniform numbers is near enough to normal.
      double noise = -6;
      for (int n = 0; n < 12; ++n) noise += random.uniform();
      y[i] = std::log(2.0) - 1.5 * static_cast<double>(i) + 0.3 * noise;
    }
    const auto fit = fit_least_squares({.points = y.size(),
                                        .start = {0, 0},
                                        .residual = [&](std::span<const double> p, std::size_t i) {
                                          return p[0] - p[1] * static_cast<double>(i) - y[i];
                                        }});
    ASSERT_TRUE(fit.ok());
    const Interval& slope = *fit->parameters[1].interval;
    held += slope.low <= 1.5 && slope.high >= 1.5 ? 1 : 0;
  }
  EXPECT_GE(held, kRepeats * 92 / 100);
  EXPECT_LE(held, kRepeats * 98 / 100);
}

}  // namespace
}  // namespace checkbit
