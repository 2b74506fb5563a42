// What a scan reads of each block: a few facts, kept for all blocks of one tensor.
//
// Types of one weight a block (F32, F16 ...) are read in runs of 32, shorter at the end of a row.
// Shapes: facts [rows][row_blocks]. Memory: 12 bytes a block. Threads: the pool's, one call at a
// time.
#pragma once

#include <cstdint>
#include <vector>

#include "base/thread_pool.h"
#include "file/model_file.h"
#include "guard/scan_positions.h"

namespace checkbit {

struct BlockFacts {
  float amplitude = 0;  ///< the largest weight's magnitude
  std::int16_t max_sub_scale = 0;
  std::uint8_t max_sub_min = 0;
  std::uint8_t min_q = 0;
  std::uint8_t max_q = 0;
  std::uint8_t reach = 0;  ///< the largest |q - q_offset|, levels of a table by index
  bool negative_scale : 1 = false;
  bool negative_min : 1 = false;
  bool finite : 1 = true;
};

struct BlockTable {
  std::uint64_t rows = 0;
  std::uint64_t row_blocks = 0;
  std::uint64_t block_elements = 0;
  std::uint64_t block_bytes = 0;
  bool integer = false;  ///< what stands under amplitude is set
  std::vector<BlockFacts> facts;
};

/// Precondition: the tensor's type can be decoded.
BlockTable read_blocks(const ModelTensor& tensor, ThreadPool& pool);

/// Of each block: its squared error against the original over that of our encoder for the same
/// weights, both plus a little of the block's energy, so that blocks without error count as equal.
std::vector<float> error_ratios(const ModelTensor& tensor, const ModelTensor& original,
                                ThreadPool& pool);

/// Positions of full-precision weights: of `tensor` under every type that fits its rows, or with a
/// full-precision `original` of its weights under the tensor's type. Empty for what has no
/// positions. Looks at about `most_weights`, whole rows spread evenly; at `only`, if given.
std::vector<PositionResult> measure_positions(const ModelTensor& tensor,
                                              const ModelTensor* original, const Format* only,
                                              std::uint64_t most_weights, ThreadPool& pool);

}  // namespace checkbit
