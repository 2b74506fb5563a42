// How well a score ranks failures above the rest, and whether its probabilities hold.
//
// What: the area under the ROC curve (the share of pairs of a failure and a success that the score
//   puts in order, ties half), its difference between two scores on the same items, and the
//   expected calibration error; each with an interval that knows which items belong together.
// Blocks: items of one block (the tokens of one window) depend on each other, blocks do not. With
//   `blocks` empty every item is its own: DeLong's interval. With blocks, the structural components
//   are summed per block first; the width is a Student t of blocks - 1 degrees of freedom.
// Shapes: scores, failed and blocks hold one entry per item; blocks are numbers in any order.
// Without a failure or without a success there is no area: nullopt.
// Threads: pure functions.
// Reference: E. DeLong, D. DeLong, D. Clarke-Pearson, "Comparing the Areas under Two or More
//   Correlated Receiver Operating Characteristic Curves", 1988; X. Sun, W. Xu, "Fast Implementation
//   of DeLong's Algorithm", 2014; N. Obuchowski, "Nonparametric Analysis of Clustered ROC Curve
//   Data", 1997.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "score/statistics.h"

namespace checkbit {

/// What was to be foretold. Spans outlive the call.
struct Outcomes {
  std::span<const std::uint8_t> failed;   ///< 1 or 0
  std::span<const std::uint32_t> blocks;  ///< empty: items are independent
};

/// Area under the ROC curve of `scores`, higher meaning likelier to fail. No interval with fewer
/// than two failures, two successes or six blocks. Preconditions: equal sizes, finite scores.
std::optional<Estimate> auc(std::span<const double> scores, const Outcomes& outcomes,
                            double confidence = 0.95);

/// AUC of `first` minus AUC of `second`, paired.
std::optional<Estimate> auc_difference(std::span<const double> first,
                                       std::span<const double> second, const Outcomes& outcomes,
                                       double confidence = 0.95);

inline constexpr std::size_t kCalibrationBins = 15;

/// One bin of a reliability diagram.
struct CalibrationBin {
  std::size_t items = 0;
  double predicted = 0;  ///< mean probability
  double observed = 0;   ///< share that failed
};

/// Bins of equal width over [0, 1]; a probability of 1 belongs to the last.
std::vector<CalibrationBin> calibration_bins(std::span<const double> probabilities,
                                             std::span<const std::uint8_t> failed,
                                             std::size_t bins = kCalibrationBins);

/// Expected calibration error: |predicted - observed| of the bins, weighted by their items. The
/// interval is the block bootstrap's. Preconditions: equal sizes, not empty, 0 <= p <= 1.
Estimate calibration_error(std::span<const double> probabilities, const Outcomes& outcomes,
                           std::size_t bins = kCalibrationBins,
                           const BootstrapOptions& bootstrap = {});

/// A rising function fitted to outcomes: probabilities from scores, by pooling adjacent violators.
/// Linear between the fitted points, flat outside them.
/// Reference: B. Zadrozny, C. Elkan, "Transforming Classifier Scores into Accurate Multiclass
///   Probability Estimates", 2002.
class IsotonicFit {
 public:
  /// Preconditions: equal sizes, not empty, finite scores.
  static IsotonicFit fit(std::span<const double> scores, std::span<const std::uint8_t> failed);
  double operator()(double score) const;

 private:
  std::vector<double> scores_;  ///< rising
  std::vector<double> values_;  ///< never falling
};

/// Pearson's correlation; 0 when either side does not vary. Precondition: equal sizes.
double correlation(std::span<const double> x, std::span<const double> y);
/// Spearman's: of the ranks, ties sharing theirs.
double rank_correlation(std::span<const double> x, std::span<const double> y);

}  // namespace checkbit
