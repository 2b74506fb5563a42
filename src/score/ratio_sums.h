// A ratio of sums over blocks, such as divergence per token over windows, with its interval, in
// constant memory.
//
// What: each block adds (amount, weight); the figure is sum of amounts over sum of weights. Its
//   variance is that of the amounts around the ratio (linearised, as in sampling of clusters), so
//   five running sums are enough. For the figures of many groups, where the bootstrap
//   (statistics.h) would have to keep every block of every group.
// Interval: Student t with blocks - 1 degrees of freedom; none below six blocks.
// Threads: one at a time.
// Reference: W. G. Cochran, "Sampling Techniques", 3rd edition, section 6.3.
#pragma once

#include <cstdint>

#include "score/statistics.h"

namespace checkbit {

class RatioSums {
 public:
  /// Blocks without weight count for nothing.
  void add(double amount, double weight);
  std::uint64_t blocks() const { return blocks_; }
  double weight() const { return weight_; }
  /// 0 without blocks.
  Estimate estimate(double confidence = 0.95) const;

 private:
  std::uint64_t blocks_ = 0;
  double amount_ = 0;
  double weight_ = 0;
  double amount_squares_ = 0;
  double products_ = 0;
  double weight_squares_ = 0;
};

}  // namespace checkbit
