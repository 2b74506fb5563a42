// The second moments of a matrix's input, and the metric that rounding its rows is measured with.
//
// What: rounding W to V costs  sum over rows of (w - v) H (w - v)^T  with H = sum over tokens of
//   x x^T, each token divided by its mean square. `SecondMoments` holds the lower triangle of H,
//   or of square blocks on its diagonal where the whole does not fit. A `Metric` is one such block
//   damped, its columns put into the order of rounding (the first to be rounded last), and
//   factored.
// Order: stored blocks stay together, and units inside them; the largest energy is rounded first.
// Errors: corrupt when a moment is not finite.
// Threads: values.
// Reference: GPTQ (arXiv 2210.17323): damping, activation order.
#pragma once

#include <string>

#include "base/result.h"
#include "quantize/rounding/dense.h"

namespace checkbit {

struct SecondMoments {
  std::int64_t columns = 0;
  std::int64_t block = 0;     ///< columns of a diagonal block; the last may be narrower
  std::vector<float> values;  ///< per block [width][width]; above the diagonal anything
  double tokens = 0;

  std::int64_t blocks() const { return (columns + block - 1) / block; }
  std::int64_t begin(std::int64_t b) const { return b * block; }
  std::int64_t width(std::int64_t b) const { return std::min(block, columns - b * block); }
  const float* triangle(std::int64_t b) const { return values.data() + b * block * block; }
  float* triangle(std::int64_t b) { return values.data() + b * block * block; }
  /// Mean x^2 of each column over the mean of all: what rounding column by column weighs with.
  std::vector<double> energies() const;
  static std::size_t floats(std::int64_t columns, std::int64_t block);
};

struct MetricOptions {
  double damping = 0.01;     ///< of the mean energy, added to all
  bool energy_order = true;  ///< else columns are rounded as they stand
  std::vector<int> groups;   ///< widths that stay together, each dividing the one before
};

struct Metric {
  std::int64_t first_column = 0;
  std::vector<int> order;      ///< [n] position -> column of the block
  std::vector<float> moments;  ///< [n][n] damped, in order, both triangles
  Factor factor;

  std::int64_t size() const { return factor.n; }
};

/// Block `b` of the moments. Damps ten times more where the factor does not exist.
Result<Metric> make_metric(const SecondMoments& moments, std::int64_t b,
                           const MetricOptions& options, ThreadPool& pool);

}  // namespace checkbit
