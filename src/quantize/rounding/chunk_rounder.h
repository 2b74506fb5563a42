// Rounding a few rows of a matrix, all columns of one metric: the work that methods share.
//
// What: `feed_back` rounds block after block of columns, from the last position to the first. Each
//   block's center is where it would best stand, given the errors made so far; its coder rounds
//   around it. `descend` then goes over all blocks again: given the errors of all others it rounds
//   the block anew around its best place and keeps that where the whole loss falls, so the loss
//   never rises. `compensate` moves the targets so that they make up for drifted inputs.
// Shapes: target, error [positions][kRowChunk] in the metric's order; error = target - value.
// Threads: one rounder per thread; Metric and LocalFactors are shared.
// Reference: feedback as in GPTQ (arXiv 2210.17323) and LDLQ (2307.13304), descent after COMQ.
#pragma once

#include "quantize/rounding/block_coder.h"
#include "quantize/rounding/metric.h"

namespace checkbit {

/// Factors of the metric's diagonal blocks, for descent.
struct LocalFactors {
  int elements = 0;
  std::vector<Factor> blocks;
};
/// Errors: corrupt when a block has no factor.
Result<LocalFactors> local_factors(const Metric& metric, int elements, ThreadPool& pool);

class ChunkRounder {
 public:
  ChunkRounder(const Format& format, const Metric& metric);

  int elements() const { return elements_; }

  void feed_back(const float* target, int rows);
  /// One pass over all blocks; returns in how many rows of blocks something better was found.
  int descend(const LocalFactors& local, const float* target, int rows);

  /// Blocks of one row in the order of the file -> out.
  void write_row(int row, std::uint8_t* out) const;
  /// [positions][kRowChunk]
  const std::vector<float>& error() const { return error_; }

 private:
  std::int64_t n() const { return metric_.size(); }
  float* error_at(std::int64_t position) { return error_.data() + position * kRowChunk; }
  std::uint8_t* blocks_at(std::int64_t first);
  std::span<const int> order_of(std::int64_t first);
  void best_place(const Factor& local, const float* target, std::int64_t first, int rows);

  const Metric& metric_;
  int elements_;
  std::size_t block_bytes_;
  std::unique_ptr<BlockCoder> coder_;
  std::vector<float> error_;
  std::vector<std::uint8_t> blocks_;  ///< [n / elements][kRowChunk][block_bytes], in positions
  std::vector<int> order_;            ///< of one block
  std::vector<float> center_, values_;
  std::vector<float> asked_;
  std::vector<float> turned_;  ///< a panel of the factor, transposed
};

/// Adds strength * (W D) H^-1 to W^T chunks: `drift` [n][n] in columns (not positions) is the sum
/// of (x - x') x'^T, H that of x' x'^T. Reference: Quantization Error Propagation.
void compensate(const Metric& metric, const std::vector<float>& drift, float strength,
                float* target);

}  // namespace checkbit
