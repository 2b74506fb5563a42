// Least squares and logistic regression over a few dozen columns.
//
// What: `Design` holds rows of features; `LinearFit` is fitted to numbers (ridge regression) or to
//   shares in [0, 1] (logistic regression, Newton's method). Columns are standardised inside, so
//   that one ridge penalty suits all of them; the intercept is not penalised.
// Size: normal equations by Cholesky, for up to a hundred columns; a library would bring nothing.
// Columns that do not vary are ignored. Threads: pure functions.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/result.h"

namespace checkbit {

/// Features, [rows][columns] row-major.
class Design {
 public:
  explicit Design(std::size_t columns) : columns_(columns) { CB_CHECK(columns > 0); }
  /// Precondition: row.size() == columns(), all finite.
  void add(std::span<const double> row);
  std::size_t columns() const { return columns_; }
  std::size_t rows() const { return values_.size() / columns_; }
  std::span<const double> row(std::size_t index) const {
    return std::span<const double>(values_).subspan(index * columns_, columns_);
  }
  /// The columns, their squares and their products of two.
  Design quadratic() const;

 private:
  std::size_t columns_;
  std::vector<double> values_;
};

/// The rows to fit on, one weight >= 0 for each (empty: all 1).
struct FitRows {
  std::span<const std::size_t> rows;
  std::span<const double> weights;
};

class LinearFit {
 public:
  /// `response` has one entry per row of the design; only those of `fit` are read.
  static LinearFit ridge(const Design& design, std::span<const double> response, const FitRows& fit,
                         double penalty = 1);
  /// response in [0, 1].
  static LinearFit logistic(const Design& design, std::span<const double> response,
                            const FitRows& fit, double penalty = 1);

  /// Of logistic: the log odds. Precondition: row.size() == columns of the design.
  double operator()(std::span<const double> row) const;
  std::vector<double> predict(const Design& design) const;

 private:
  void standardise(const Design& design, const FitRows& fit);
  double scaled(std::span<const double> row, std::size_t column) const {
    return (row[column] - means_[column]) * scales_[column];
  }
  /// One weighted least-squares step of all coefficients.
  void solve(const Design& design, std::span<const double> response, const FitRows& fit,
             double penalty);
  std::vector<double> means_;
  std::vector<double> scales_;        ///< 1 / deviation, 0 for a column that does not vary
  std::vector<double> coefficients_;  ///< [columns + 1], the last is the intercept
};

/// 1 / (1 + exp(-x)), without overflow.
double logistic_function(double x);

}  // namespace checkbit
