// Rounding one block of columns of many rows under a metric that couples the columns.
//
// What: a block is as wide as the format's. Given centers c [elements][kRowChunk] (positions of the
//   block, rows side by side) and the metric S = U^T D U through its factor, finds stored blocks
//   whose values v keep  (v - c)^T S (v - c)  small: scales first, by the format's encoder on the
//   centers; then the integers one position after another from the last to the first, each taking
//   the error of those before it into account (GPTQ order). Lattice formats go unit by unit.
// Positions: position p of the metric is element order[p] of the stored block.
// Formats without integers or of a layout that cannot be written in parts are encoded whole.
// Threads: one coder per thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "formats/format.h"
#include "quantize/rounding/dense.h"

namespace checkbit {

inline constexpr int kRowChunk = 64;  ///< rows that are rounded side by side

struct BlockMetric {
  int elements = 0;
  MatrixSpan unit;                ///< [elements][elements], lower, diagonal 1
  const float* weight = nullptr;  ///< [elements], > 0
  std::span<const int> order;     ///< [elements]
};

class BlockCoder {
 public:
  /// `elements`: of a block; a multiple of the format's.
  static std::unique_ptr<BlockCoder> create(const Format& format, int elements);
  virtual ~BlockCoder() = default;

  /// Positions of one of its units, which must stand together, in order: 1 where every order will
  /// do.
  virtual int unit_elements() const = 0;

  /// center [elements][kRowChunk] -> blocks [rows][block bytes], values [elements][kRowChunk], loss
  /// [kRowChunk]: the metric's. Rows beyond `rows` are not looked at.
  virtual void round(const BlockMetric& metric, const float* center, int rows, std::uint8_t* blocks,
                     float* values, float* loss) = 0;
};

/// The width of the blocks that a format is rounded in: its own, or what is worth a product.
int coder_elements(const Format& format);

}  // namespace checkbit
