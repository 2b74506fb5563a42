// A running mean with an interval that may be looked at after every value.
//
// What: an ordinary 95 % interval holds for a number of values fixed beforehand; who looks after
//   each value and stops when the interval is narrow enough, is wrong more often. The intervals
//   here hold all together: with the promised probability none of them, at any time, leaves out the
//   mean. So a measurement may stop at the first one that is narrow enough.
// Population: with `population` values in all, drawn in random order without replacement, the mean
//   meant is that of all of them, and the interval closes as they run out (at the last one it is a
//   point). With 0 it is the mean of an unlimited source of independent values.
// Method: the asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas,
//   "Time-uniform central limit theory and asymptotic confidence sequences", Annals of Statistics
//   52 (2024): half width s sqrt(2 (t r^2 + 1) / (t r)^2 log(sqrt(t r^2 + 1) / alpha)) after t
//   values with standard deviation s; r makes it tightest at one time. Values without bounds are
//   fine, but the promise is exact only in the limit, so nothing is said before `fewest` values, no
//   interval is narrower than with `fewest` left, and s is widened as a Student t is wider than a
//   normal. Coverage at the time of stopping is
//   simulated in confidence_sequence_test, also for skewed values.
// Without replacement: (sum - t mean) N / (N - t) is a martingale whose variance grows as that of t
//   N / (N - t) independent values (R. J. Serfling, "Probability Inequalities for the Sum in
//   Sampling without Replacement", 1974; Waudby-Smith, Ramdas, "Confidence sequences for sampling
//   without replacement", 2020), so that number takes the place of t.
// Threads: one at a time. Memory: constant.
#pragma once

#include <cstdint>
#include <optional>

#include "score/statistics.h"

namespace checkbit {

struct ConfidenceSequenceOptions {
  double confidence = 0.95;
  std::uint64_t population = 0;  ///< 0: unlimited
  std::uint64_t fewest = 24;     ///< no interval before, none narrower with fewer left
};

class ConfidenceSequence {
 public:
  explicit ConfidenceSequence(const ConfidenceSequenceOptions& options = {});
  /// Precondition: count() < population, where that is not 0.
  void add(double value);

  std::uint64_t count() const { return values_.count(); }
  double mean() const { return values_.mean(); }
  /// Mean plus and minus this holds now and at every other time; none before `fewest` values and in
  /// a population of fewer than twice as many, unless they are the whole population.
  std::optional<double> half_width() const;

 private:
  ConfidenceSequenceOptions options_;
  double tuning_;  ///< r^2
  double normal_quantile_;
  Welford values_;
};

}  // namespace checkbit
