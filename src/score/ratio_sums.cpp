#include "score/ratio_sums.h"

#include <algorithm>
#include <cmath>

namespace checkbit {
namespace {

constexpr std::uint64_t kFewestBlocks = 6;  // as of the bootstrap

}  // namespace

void RatioSums::add(double amount, double weight) {
  if (weight <= 0) return;
  blocks_ += 1;
  amount_ += amount;
  weight_ += weight;
  amount_squares_ += amount * amount;
  products_ += amount * weight;
  weight_squares_ += weight * weight;
}

Estimate RatioSums::estimate(double confidence) const {
  if (blocks_ == 0) return {};
  Estimate result{amount_ / weight_, std::nullopt};
  if (blocks_ < kFewestBlocks || !std::isfinite(result.value)) return result;
  const auto n = static_cast<double>(blocks_);
  const double squares = amount_squares_ - 2 * result.value * products_ +
                         result.value * result.value * weight_squares_;
  const double error = std::sqrt(std::max(0.0, squares) * n / (n - 1)) / weight_;
  const double half = -student_quantile(0.5 * (1 - confidence), blocks_ - 1) * error;
  result.interval = Interval{result.value - half, result.value + half};
  return result;
}

}  // namespace checkbit
