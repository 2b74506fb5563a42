// Which numbers in a column are likely to be errors, given the columns beside it.
//
// What: a regression model, fitted on some rows and refitted on redraws of them, predicts every
//   row's number. Its residual is divided by two uncertainties: the epistemic one (how far the
//   refits disagree on this row) and the aleatoric one (a second regression, of the size of
//   residuals, says how much numbers like this one scatter anyway). The veracity score is
//   exp(-|residual| / (epistemic + aleatoric)), 1 for a number that is as expected.
// Filter: drops the lowest shares of the scores, refits, and keeps the smallest share after which
// the
//   median size of out-of-fold residuals is as small as it gets: an estimate of how many are
//   errors. (The paper takes R squared, which a least-squares model can only lose by leaving errors
//   out.)
// Model: ridge regression on features, squares and products. Seeded; pure functions.
// Reference: "Detecting Errors in a Numerical Response via any Regression Model".
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "score/linear_fit.h"

namespace checkbit {

struct VeracityOptions {
  int redraws = 5;
  int folds = 5;
  std::uint64_t seed = 1;
};

struct VeracityScores {
  std::vector<double> scores;     ///< in (0, 1], one per row of the design
  std::vector<double> residuals;  ///< number minus prediction
};

/// Fitted on `train` (predictions for these rows are out of fold), applied to every row.
/// Precondition: train has at least `folds` rows.
VeracityScores veracity(const Design& features, std::span<const double> numbers,
                        std::span<const std::size_t> train, const VeracityOptions& options = {});

/// The estimated share of `rows` whose numbers are errors: 0, 1 %, 2 %, 5 %, 10 %, 15 % or 20 %.
double error_share(const Design& features, std::span<const double> numbers,
                   std::span<const std::size_t> rows, const VeracityOptions& options = {});

}  // namespace checkbit
