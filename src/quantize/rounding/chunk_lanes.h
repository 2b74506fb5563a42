// What is done to the kRowChunk rows that are rounded side by side, four at a time.
//
// Numbers: products and sums are rounded apart, in order: the same bits on every machine.
// Threads: pure functions.
#pragma once

#include <vector>

#include "formats/lanes.h"
#include "quantize/rounding/block_coder.h"

namespace checkbit {

static_assert(kRowChunk % kLanes == 0);

inline void store_lanes(Lanes lanes, float* to) { std::memcpy(to, &lanes, sizeof(lanes)); }

/// to += factor * from, all [kRowChunk].
inline void add_scaled_rows(float factor, const float* from, float* to) {
  for (int r = 0; r < kRowChunk; r += kLanes)
    store_lanes(load_lanes(to + r) + factor * load_lanes(from + r), to + r);
}

/// to = a - b
inline void subtract_rows(const float* a, const float* b, float* to) {
  for (int r = 0; r < kRowChunk; r += kLanes)
    store_lanes(load_lanes(a + r) - load_lanes(b + r), to + r);
}

/// One row of a chunk [elements][kRowChunk], its positions put into the order of the stored block.
inline void gather_row(const BlockMetric& metric, const float* chunk, int row, float* out) {
  for (int p = 0; p < metric.elements; ++p)
    out[metric.order[static_cast<std::size_t>(p)]] = chunk[p * kRowChunk + row];
}

inline std::vector<float> gathered_weights(const BlockMetric& metric) {
  std::vector<float> weights(static_cast<std::size_t>(metric.elements));
  for (int p = 0; p < metric.elements; ++p)
    weights[static_cast<std::size_t>(metric.order[static_cast<std::size_t>(p)])] = metric.weight[p];
  return weights;
}

}  // namespace checkbit
