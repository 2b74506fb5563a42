// Rounding methods: how the integers and scales of a matrix are chosen for a given format.
//
// What: one `RoundingMethod` per entry of roundings.def, one file each. All write the same number
//   of bytes; they differ in what they know of the matrix's inputs and in how long they take.
// Preconditions: weights finite; columns a multiple of the format's block. Formats without integers
//   are encoded as by `nearest`.
// Errors: corrupt (moments that have no factor), cancelled.
// Threads: rounds on the pool; the bytes do not depend on how many threads it has.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/format.h"
#include "quantize/rounding/metric.h"

namespace checkbit {

struct RoundingOptions {
  double damping = 0.01;     ///< see MetricOptions
  bool energy_order = true;  ///< the same
  int sweeps = 2;            ///< of descent
  double propagation = 0.5;  ///< how much of the drift of inputs is made up for, 0 to 1
};

/// One matrix W [rows, columns].
struct RoundingTask {
  const Format* format = nullptr;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::function<void(std::int64_t row, float* out)> read_row;  ///< from many threads
  std::span<const float> importance;  ///< [columns], or empty: every column counts the same
  std::span<const Metric> metrics;    ///< of its input; for methods that use moments
  std::span<const std::vector<float>> drifts;  ///< per metric (chunk_rounder.h), or empty
  RoundingOptions options;

  std::size_t row_bytes() const {
    return static_cast<std::size_t>(columns / format->block_elements) *
           static_cast<std::size_t>(format->block_bytes);
  }
};

struct RoundingMethod {
  std::string_view name;
  std::string_view summary;
  bool uses_importance = false;
  bool uses_moments = false;
  bool follows_drift = false;  ///< its inputs are those of the quantized model so far
  int sweeps = 0;              ///< of descent by default: what it costs is estimated from this
  /// -> out [rows][row_bytes]
  Status (*round)(const RoundingTask& task, ThreadPool& pool, std::uint8_t* out) = nullptr;
};

/// In the order of roundings.def: from the fastest.
std::span<const RoundingMethod* const> all_roundings();
/// Null when unknown.
const RoundingMethod* find_rounding(std::string_view name);

/// True where error can be fed back: integers under scales, in blocks.
bool takes_feedback(const Format& format);

/// What the metric must keep together for these formats (MetricOptions::groups).
std::vector<int> metric_groups(std::span<const Format* const> formats);

/// (v - w) H (v - w)^T summed over all rows, for encoded rows: what methods with moments lessen.
double rounding_loss(const RoundingTask& task, ThreadPool& pool, const std::uint8_t* encoded);

}  // namespace checkbit
