// Error feedback inside one block: what the errors of later positions ask of earlier ones.
//
// What: positions are settled from the last to the first. Position i wants
//       base[i] + sum over settled j > i of unit[j][i] * (reference[j] - value[j]).
//   With base = reference = c this makes (v - c)^T S (v - c) small step by step.
// Shapes: all chunks are [elements][kRowChunk].
// Threads: one at a time.
#pragma once

#include <algorithm>
#include <vector>

#include "quantize/rounding/block_coder.h"
#include "quantize/rounding/chunk_lanes.h"

namespace checkbit {

/// Positions between products; those inside feed each other one by one.
inline constexpr int kInner = 32;

class InnerFeedback {
 public:
  InnerFeedback(const BlockMetric& metric, const float* base, const float* reference)
      : metric_(metric),
        base_(base),
        reference_(reference),
        deviation_(static_cast<std::size_t>(metric.elements) * kRowChunk) {}

  /// Makes ready what [begin, end) want, given all that was settled from `end` on.
  void open(int begin, int end) {
    begin_ = begin;
    wanted_.assign(base_ + begin * kRowChunk, base_ + end * kRowChunk);
    add_products({metric_.unit.data + end * metric_.unit.stride + begin, metric_.unit.stride},
                 {deviation(end), kRowChunk}, metric_.elements - end, wanted_.data(), kRowChunk,
                 end - begin, kRowChunk);
  }
  /// [kRowChunk]; of positions that are open.
  float* wanted(int p) { return wanted_.data() + (p - begin_) * kRowChunk; }

  void settle(int p, const float* values) {
    float* miss = deviation(p);
    subtract_rows(reference_ + p * kRowChunk, values, miss);
    const float* unit = metric_.unit.data + p * metric_.unit.stride;
    for (int i = begin_; i < p; ++i) add_scaled_rows(unit[i], miss, wanted(i));
  }

  /// Adds what the metric charges for these values at an open position that is not yet settled.
  void add_loss(int p, const float* values, float* loss) {
    const float* want = wanted(p);
    for (int r = 0; r < kRowChunk; r += kLanes) {
      const Lanes step = load_lanes(want + r) - load_lanes(values + r);
      store_lanes(load_lanes(loss + r) + metric_.weight[p] * step * step, loss + r);
    }
  }

 private:
  float* deviation(int p) { return deviation_.data() + p * kRowChunk; }

  const BlockMetric& metric_;
  const float* base_;
  const float* reference_;
  std::vector<float> deviation_;
  std::vector<float> wanted_;
  int begin_ = 0;
};

/// f(p) for all positions from the last to the first, each with what it wants ready.
template <class F>
void for_positions(const BlockMetric& metric, InnerFeedback& feedback, F&& f) {
  for (int end = metric.elements; end > 0; end -= kInner) {
    const int begin = std::max(0, end - kInner);
    feedback.open(begin, end);
    for (int p = end - 1; p >= begin; --p) f(p);
  }
}

/// (v - c)^T S (v - c) of every row -> loss [kRowChunk].
inline void metric_loss(const BlockMetric& metric, const float* center, const float* values,
                        float* loss) {
  std::fill_n(loss, kRowChunk, 0.0f);
  InnerFeedback feedback(metric, center, center);
  for_positions(metric, feedback, [&](int p) {
    feedback.add_loss(p, values + p * kRowChunk, loss);
    feedback.settle(p, values + p * kRowChunk);
  });
}

}  // namespace checkbit
