#include "score/quantile_sketch.h"

#include <algorithm>
#include <cmath>

#include "base/result.h"

namespace checkbit {
namespace {

// A bucket (g^i, g^(i+1)] answered by its point 2 g^(i+1) / (g + 1) is off by (g - 1) / (g + 1).
const double kLogGrowth =
    std::log((1 + QuantileSketch::kRelativeError) / (1 - QuantileSketch::kRelativeError));

std::size_t inner_bucket_count() {
  return static_cast<std::size_t>(std::log(QuantileSketch::kLargest / QuantileSketch::kSmallest) /
                                  kLogGrowth) +
         1;
}

}  // namespace

QuantileSketch::QuantileSketch() : buckets_(inner_bucket_count() + 2) {}

void QuantileSketch::add(double value) {
  CB_CHECK(value >= 0);
  std::size_t bucket = 0;
  if (value >= kLargest) {
    bucket = buckets_.size() - 1;
  } else if (value >= kSmallest) {
    const auto inner = static_cast<std::size_t>(std::log(value / kSmallest) / kLogGrowth);
    bucket = 1 + std::min(inner, buckets_.size() - 3);
  }
  buckets_[bucket] += 1;
  count_ += 1;
  sum_ += value;
  max_ = std::max(max_, value);
}

void QuantileSketch::merge(const QuantileSketch& other) {
  for (std::size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  sum_ += other.sum_;
  max_ = std::max(max_, other.max_);
}

double QuantileSketch::order_statistic(std::uint64_t rank) const {
  if (rank + 1 == count_) return max_;
  std::size_t bucket = 0;
  for (std::uint64_t seen = buckets_[0]; seen <= rank; seen += buckets_[bucket]) ++bucket;
  if (bucket == 0) return 0;
  if (bucket == buckets_.size() - 1) return max_;
  const double upper = kSmallest * std::exp(kLogGrowth * static_cast<double>(bucket));
  return std::min(max_, upper * (1 - kRelativeError));
}

double QuantileSketch::quantile(double q) const {
  CB_CHECK(count_ > 0 && q >= 0 && q <= 1);
  const double position = q * static_cast<double>(count_ - 1);
  const double below = std::floor(position);
  const double low = order_statistic(static_cast<std::uint64_t>(below));
  if (position == below) return low;
  const double high = order_statistic(static_cast<std::uint64_t>(below) + 1);
  return low + (position - below) * (high - low);
}

}  // namespace checkbit
