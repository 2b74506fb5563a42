#include "score/confidence_sequence.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numbers>
#include <vector>

#include "base/random.h"

namespace checkbit {
namespace {

double normal(Random& random) {
  return std::sqrt(-2 * std::log(1 - random.uniform())) *
         std::cos(2 * std::numbers::pi * random.uniform());
}

using Draw = std::function<double(Random&)>;

double even(Random& random) { return 1 + 0.3 * normal(random); }
/// Like the mean divergence of windows: a long tail to the right, coefficient of variation 0.5.
double skewed(Random& random) { return std::exp(0.47 * normal(random)); }

struct Coverage {
  double always = 0;   ///< no interval, at any time, left the mean out
  double stopped = 0;  ///< the interval at the time of stopping held it
  double naive = 0;    ///< an ordinary 95 % interval would have, at its own time of stopping
  double spared = 0;   ///< mean share of the population that was not needed
};

/// Draws whole populations, reads each in random order (they are drawn so) and stops at a relative
/// half width of `until`.
Coverage simulate(const Draw& draw, std::size_t population, double until, std::uint64_t seed) {
  constexpr int kExperiments = 1000;
  Coverage coverage;
  for (int experiment = 0; experiment < kExperiments; ++experiment) {
    Random random(seed, static_cast<std::uint64_t>(experiment));
    std::vector<double> values(population);
    double mean = 0;
    for (double& value : values) {
      value = draw(random);
      mean += value / static_cast<double>(population);
    }
    ConfidenceSequence sequence({.population = population});
    Welford plain;
    bool always = true;
    bool stopped = false;
    bool plain_stopped = false;
    for (std::size_t i = 0; i < population; ++i) {
      sequence.add(values[i]);
      plain.add(values[i]);
      const auto half = sequence.half_width();
      if (!half) continue;
      const bool holds = std::abs(sequence.mean() - mean) <= *half + 1e-12;
      always = always && holds;
      if (!stopped && *half <= until * sequence.mean()) {
        stopped = true;
        coverage.stopped += holds ? 1 : 0;
        coverage.spared += 1 - static_cast<double>(i + 1) / static_cast<double>(population);
      }
      const double rest = 1 - static_cast<double>(i + 1) / static_cast<double>(population);
      const double usual = 1.96 * plain.standard_error() * std::sqrt(rest);
      if (!plain_stopped && usual <= until * plain.mean()) {
        plain_stopped = true;
        coverage.naive += std::abs(plain.mean() - mean) <= usual ? 1 : 0;
      }
    }
    coverage.always += always ? 1 : 0;
  }
  for (double* share : {&coverage.always, &coverage.stopped, &coverage.naive, &coverage.spared}) {
    *share /= kExperiments;
  }
  return coverage;
}

TEST(ConfidenceSequence, HoldsAtEveryTimeAndAtTheTimeOfStopping) {
  for (const std::size_t population : {60, 250, 600}) {
    for (const auto& [name, draw] : {std::pair<const char*, Draw>{"even", even},
                                     std::pair<const char*, Draw>{"skewed", skewed}}) {
      for (const double until : {0.02, 0.05, 0.2}) {
        const Coverage coverage = simulate(draw, population, until, 5);
        const auto where = ::testing::Message()
                           << name << ", " << population << " windows, within " << until;
        EXPECT_GE(coverage.always, 0.94) << where;
        EXPECT_GE(coverage.stopped, 0.95) << where;
      }
    }
  }
}

TEST(ConfidenceSequence, WhatAnOrdinaryIntervalWouldNot) {
  const Coverage coverage = simulate(skewed, 600, 0.2, 6);
  EXPECT_LT(coverage.naive, 0.93) << "stopping on an ordinary interval breaks its promise";
  EXPECT_GT(coverage.stopped, coverage.naive + 0.02);
}

TEST(ConfidenceSequence, SparesWindows) {
  EXPECT_GT(simulate(even, 600, 0.05, 7).spared, 0.3);
  EXPECT_GT(simulate(even, 600, 0.2, 7).spared, 0.9);
}

TEST(ConfidenceSequence, AnUnlimitedSourceHasThePublishedWidth) {
  ConfidenceSequence sequence;
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(sequence.half_width().has_value(), i >= 24) << i;
    sequence.add(i % 2 == 0 ? 1 : 3);
  }
  // Mean 2, variance 100/99; by hand from the formula in the header.
  const double r_squared = (-2 * std::log(0.05) + std::log(-2 * std::log(0.05)) + 1) / 256;
  const double growth = 100 * r_squared + 1;
  const double expected = std::sqrt(100.0 / 99) * std::sqrt(2 * growth / (100 * 100 * r_squared) *
                                                            std::log(std::sqrt(growth) / 0.05));
  const double widening = student_quantile(0.025, 99) / normal_quantile(0.025);
  EXPECT_NEAR(*sequence.half_width(), widening * expected, 2e-4 * expected);
  EXPECT_EQ(sequence.mean(), 2);
}

TEST(ConfidenceSequence, AWholePopulationHasNoDoubtLeft) {
  ConfidenceSequence few({.population = 3});
  for (const double value : {1.0, 5.0, 9.0}) {
    EXPECT_FALSE(few.half_width().has_value());
    few.add(value);
  }
  EXPECT_EQ(few.half_width(), 0);
  ConfidenceSequence finite({.population = 200});
  ConfidenceSequence endless;
  for (int i = 0; i < 150; ++i) {
    finite.add(i % 5);
    endless.add(i % 5);
  }
  EXPECT_LT(*finite.half_width(), 0.6 * *endless.half_width()) << "it closes as they run out";
}

}  // namespace
}  // namespace checkbit
