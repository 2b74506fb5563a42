// Rounding a whole model layer by layer with what its matrices read.
//
// What: walks a text through the source, gathers the second moments of a layer's inputs, rounds the
//   layer's matrices with a method (rounding/rounding.h) and goes on to the next layer. A method
//   that follows drift gets the inputs of the quantized model so far, beside those of the source.
// Memory: the moments of one layer and what factoring them takes, full where `memory_bytes` has
//   room and else in blocks on the diagonal; the rounded tensors.
// Biases: what rounding changes in a matrix's mean output goes into its bias, where it has one.
//   Reference: Improving Post Training Neural Quantization (layer-wise calibration, bias tuning).
// What is not rounded here (a type without integers, tables that nothing multiplies) is left to
//   write_model.
// Errors: invalid (text too short), corrupt (inputs that are not finite: layer and matrix),
//   cancelled, memory.
// Threads: uses the pool; the bytes do not depend on its size.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "quantize/calibrate.h"
#include "quantize/moments_file.h"
#include "quantize/plan.h"
#include "quantize/rounding/rounding.h"
#include "quantize/tensor_journal.h"

namespace checkbit {

struct RoundModelOptions {
  const RoundingMethod* method = nullptr;
  RoundingOptions rounding;
  std::int64_t window_tokens = 512;
  std::uint64_t memory_bytes = 1536ull << 20;  ///< for moments, factors and drift of one input
  bool tune_biases = true;             ///< where a matrix has one, of methods that follow drift
  const MomentsFile* saved = nullptr;  ///< in place of a text; not for methods that follow drift
  MomentsWriter* save = nullptr;       ///< also gets every input's moments
  TensorJournal* journal = nullptr;    ///< has what an earlier start rounded, and keeps the rest
};

struct RoundedModel {
  std::map<std::string, std::vector<std::uint8_t>> tensors;  ///< by name, as they stand in the file
  std::uint64_t columns = 0;                                 ///< of all inputs
  std::uint64_t silent_columns = 0;  ///< of these, never touched by the text
};

/// How many copies of an input's moments a method has in memory at once.
constexpr std::uint64_t moment_copies(const RoundingMethod& method) {
  return method.follows_drift ? 4 : 3;  // as gathered, in order, their factor; the drift
}

/// The fewest tokens that say anything of columns.
inline constexpr std::size_t kFewestTokens = 128;

/// Refuses a text that is too short, before any work. Errors: invalid.
Status check_rounding_text(std::size_t tokens);

Result<RoundedModel> round_model(const ModelFile& file, const Plan& plan, const Kernels& kernels,
                                 ThreadPool& pool, std::span<const std::int32_t> text,
                                 const RoundModelOptions& options);

}  // namespace checkbit
