// Quantiles of a stream of non-negative numbers in 33 kB.
//
// What: counts values in buckets whose edges grow by a fixed factor; count, mean and maximum are
//   exact. Like the DDSketch of Masson, Rim, Lee, VLDB 2019, with fixed range and so without
//   collapsing: the answer does not depend on the order of the values, and sketches merge exactly.
// Error: a quantile between kSmallest and kLargest is off by at most kRelativeError of the value;
//   below kSmallest it is given as 0; above kLargest as the exact maximum.
// Quantiles are those of numpy's default: linear between the two order statistics around
//   q * (count - 1).
// Values: NaN and negative numbers are a bug of the caller (checked).
// Threads: one per thread, then merge.
#pragma once

#include <cstdint>
#include <vector>

namespace checkbit {

class QuantileSketch {
 public:
  static constexpr double kRelativeError = 0.005;
  static constexpr double kSmallest = 1e-12;
  static constexpr double kLargest = 1e6;

  QuantileSketch();
  void add(double value);
  void merge(const QuantileSketch& other);

  std::uint64_t count() const { return count_; }
  double mean() const { return count_ == 0 ? 0 : sum_ / static_cast<double>(count_); }
  double max() const { return max_; }
  /// Precondition: 0 <= q <= 1 and count() > 0.
  double quantile(double q) const;

 private:
  double order_statistic(std::uint64_t rank) const;

  std::vector<std::uint64_t> buckets_;  ///< [0]: below kSmallest; the last: kLargest and above
  std::uint64_t count_ = 0;
  double sum_ = 0;
  double max_ = 0;
};

}  // namespace checkbit
