// Least squares for small problems, with intervals that say when a parameter cannot be known.
//
// What: minimises the sum of squared residuals over the parameters (Levenberg's damped steps with
//   Marquardt's scaling). Covariance: inverse of J'J times the residual variance, intervals from
//   Student's t. Directions of the parameters that the points do not fix (singular values below
//   1e-7 of the largest, after scaling) are found and left out; parameters in them have no
//   interval.
// Refusals: never more parameters than points minus two.
// Errors: budget (too few points), corrupt (residuals that are not finite at the start).
// Threads: pure function.
// Reference: D. W. Marquardt, "An Algorithm for Least-Squares Estimation of Nonlinear Parameters",
//   1963.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "score/statistics.h"

namespace checkbit {

struct FitProblem {
  std::size_t points = 0;
  std::vector<double> start;
  /// Residual of a point, divided by its standard deviation where points are not equally sure.
  std::function<double(std::span<const double> parameters, std::size_t point)> residual;
};

struct Fit {
  /// With 95 % intervals; none where the points do not determine one.
  std::vector<Estimate> parameters;
  double residual_deviation = 0;  ///< root of the squared residuals over points - parameters
  bool converged = false;
};

Result<Fit> fit_least_squares(const FitProblem& problem);

}  // namespace checkbit
