#include "score/linear_fit.h"

#include <algorithm>
#include <cmath>

namespace checkbit {
namespace {

constexpr int kNewtonSteps = 25;
constexpr double kConverged = 1e-8;

/// Solves A x = b in place for a symmetric positive definite A, [n][n] row-major.
void cholesky_solve(std::vector<double>& a, std::vector<double>& b) {
  const std::size_t n = b.size();
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      double sum = a[i * n + j];
      for (std::size_t k = 0; k < j; ++k) sum -= a[i * n + k] * a[j * n + k];
      a[i * n + j] = i == j ? std::sqrt(std::max(sum, 1e-300)) : sum / a[j * n + j];
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < i; ++k) b[i] -= a[i * n + k] * b[k];
    b[i] /= a[i * n + i];
  }
  for (std::size_t i = n; i-- > 0;) {
    for (std::size_t k = i + 1; k < n; ++k) b[i] -= a[k * n + i] * b[k];
    b[i] /= a[i * n + i];
  }
}

double weight_of(const FitRows& fit, std::size_t i) {
  return fit.weights.empty() ? 1 : fit.weights[i];
}

}  // namespace

double logistic_function(double x) {
  if (x >= 0) return 1 / (1 + std::exp(-x));
  const double e = std::exp(x);
  return e / (1 + e);
}

void Design::add(std::span<const double> row) {
  CB_CHECK(row.size() == columns_);
  values_.insert(values_.end(), row.begin(), row.end());
}

Design Design::quadratic() const {
  Design wide(columns_ + columns_ * (columns_ + 1) / 2);
  std::vector<double> expanded;
  for (std::size_t r = 0; r < rows(); ++r) {
    const auto from = row(r);
    expanded.assign(from.begin(), from.end());
    for (std::size_t i = 0; i < columns_; ++i)
      for (std::size_t j = i; j < columns_; ++j) expanded.push_back(from[i] * from[j]);
    wide.add(expanded);
  }
  return wide;
}

void LinearFit::standardise(const Design& design, const FitRows& fit) {
  const std::size_t columns = design.columns();
  means_.assign(columns, 0);
  scales_.assign(columns, 0);
  coefficients_.assign(columns + 1, 0);
  const auto n = static_cast<double>(std::max<std::size_t>(fit.rows.size(), 1));
  for (const std::size_t r : fit.rows)
    for (std::size_t c = 0; c < columns; ++c) means_[c] += design.row(r)[c] / n;
  std::vector<double> squares(columns, 0);
  for (const std::size_t r : fit.rows) {
    for (std::size_t c = 0; c < columns; ++c) {
      const double difference = design.row(r)[c] - means_[c];
      squares[c] += difference * difference / n;
    }
  }
  for (std::size_t c = 0; c < columns; ++c) {
    const double deviation = std::sqrt(squares[c]);
    if (deviation > 1e-12 * (1 + std::abs(means_[c]))) scales_[c] = 1 / deviation;
  }
}

void LinearFit::solve(const Design& design, std::span<const double> response, const FitRows& fit,
                      double penalty) {
  const std::size_t n = coefficients_.size();
  std::vector<double> normal(n * n, 0);
  std::vector<double> right(n, 0);
  std::vector<double> x(n, 1);  // the last stays 1: the intercept
  for (std::size_t i = 0; i < fit.rows.size(); ++i) {
    const auto row = design.row(fit.rows[i]);
    const double weight = weight_of(fit, i);
    for (std::size_t c = 0; c + 1 < n; ++c) x[c] = scaled(row, c);
    for (std::size_t a = 0; a < n; ++a) {
      right[a] += weight * x[a] * response[fit.rows[i]];
      for (std::size_t b = 0; b <= a; ++b) normal[a * n + b] += weight * x[a] * x[b];
    }
  }
  for (std::size_t c = 0; c + 1 < n; ++c) normal[c * n + c] += penalty;
  normal[n * n - 1] += 1e-9;
  cholesky_solve(normal, right);
  coefficients_ = right;
}

LinearFit LinearFit::ridge(const Design& design, std::span<const double> response,
                           const FitRows& fit, double penalty) {
  CB_CHECK(response.size() == design.rows());
  LinearFit result;
  result.standardise(design, fit);
  result.solve(design, response, fit, penalty);
  return result;
}

LinearFit LinearFit::logistic(const Design& design, std::span<const double> response,
                              const FitRows& fit, double penalty) {
  CB_CHECK(response.size() == design.rows());
  LinearFit result;
  result.standardise(design, fit);
  // Newton's method as weighted least squares of the working response.
  std::vector<double> working(design.rows(), 0);
  std::vector<double> weights(fit.rows.size());
  for (int step = 0; step < kNewtonSteps; ++step) {
    for (std::size_t i = 0; i < fit.rows.size(); ++i) {
      const std::size_t r = fit.rows[i];
      const double odds = std::clamp(result(design.row(r)), -30.0, 30.0);
      const double p = logistic_function(odds);
      const double slope = std::max(p * (1 - p), 1e-6);
      working[r] = odds + (response[r] - p) / slope;
      weights[i] = weight_of(fit, i) * slope;
    }
    const std::vector<double> before = result.coefficients_;
    result.solve(design, working, {fit.rows, weights}, penalty);
    double moved = 0;
    for (std::size_t c = 0; c < before.size(); ++c)
      moved = std::max(moved, std::abs(result.coefficients_[c] - before[c]));
    if (moved < kConverged) break;
  }
  return result;
}

double LinearFit::operator()(std::span<const double> row) const {
  CB_CHECK(row.size() + 1 == coefficients_.size());
  double sum = coefficients_.back();
  for (std::size_t c = 0; c < row.size(); ++c) sum += coefficients_[c] * scaled(row, c);
  return sum;
}

std::vector<double> LinearFit::predict(const Design& design) const {
  std::vector<double> values;
  values.reserve(design.rows());
  for (std::size_t r = 0; r < design.rows(); ++r) values.push_back((*this)(design.row(r)));
  return values;
}

}  // namespace checkbit
