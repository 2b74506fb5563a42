// Suspicious weights: what a file's bytes say about who wrote them.
//
// What: reads every tensor and looks for what scan_checks.def lists.
//   not_finite    NaN or infinity.
//   absurd_scale  the largest weight of a block against the median block of its row and of its
//                 column, and against the largest of all other blocks of the tensor: outliers are
//                 normal in a language model, but they come in rows and columns and not alone. A
//                 flip of a high exponent bit of a scale stands out by 2^4 to 2^16.
//   encoder_rule  encoders leave traces in every block: the largest sub-scale is always the same,
//                 both end levels occur, scales are never negative. No rule is written down here:
//                 whatever all but a handful of a tensor's blocks keep counts as one, so that any
//                 encoder's habits serve. A flipped bit breaks them.
//   crafted       positions inside rounding intervals (scan_positions.h).
//   not_rounding  with an original: a block's error against that of our own encoder for the same
//                 weights.
// Reference: Mind the Gap: A Practical Attack on GGUF Quantization (weights placed inside the
//   quantization error so that they decode to another behaviour).
// Units: rows and columns are of the first weight of a block; offsets are bytes in the tensor.
// Errors: invalid when the original is of another shape, cancelled. What is found is no error.
// Threads: one scan at a time per pool.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "file/model_file.h"
#include "guard/scan_positions.h"

namespace checkbit {

enum class ScanCheck {
#define CHECKBIT_SCAN_CHECK(name, meaning) name,
#include "guard/scan_checks.def"
#undef CHECKBIT_SCAN_CHECK
  count
};
inline constexpr int kScanCheckCount = static_cast<int>(ScanCheck::count);
std::string_view scan_check_name(ScanCheck check);
std::string_view scan_check_meaning(ScanCheck check);

struct ScanFinding {
  ScanCheck check = ScanCheck::not_finite;
  std::string tensor;
  std::uint64_t row = 0;
  std::uint64_t column = 0;
  std::uint64_t offset = 0;
  std::string detail;  ///< one clause: what is there and what would be usual
};

/// What was seen of one tensor, suspicious or not: the figures that thresholds are judged by.
struct TensorScan {
  std::string name;
  const Format* format = nullptr;
  std::uint64_t blocks = 0;
  /// The largest of log2(block / max(row median, column median, half the next largest)).
  double lonely_octaves = 0;
  std::uint64_t rule_breakers = 0;  ///< the fewest, above 0, that break a near-universal rule
  double worst_error_ratio = 0;     ///< with an original
  std::vector<PositionResult> positions;
};

struct ScanReport {
  std::vector<ScanFinding> findings;  ///< at most kFindingsPerCheck a tensor and check
  std::uint64_t counts[kScanCheckCount] = {};
  std::vector<TensorScan> tensors;
  /// Positions of all tensors together, type by type: what is too thin to be seen in one.
  std::vector<PositionResult> positions;
  std::uint64_t weights = 0;
  bool suspicious() const { return !findings.empty(); }
};

struct ScanOptions {
  /// Weights of a tensor whose positions are looked at, per type.
  std::uint64_t position_weights = 1u << 16;
  /// The one type whose positions are looked at; null: every type that fits.
  const Format* type = nullptr;
};

inline constexpr std::size_t kFindingsPerCheck = 16;
/// Octaves by which a block must stand alone to be absurd. Clean models reach 2.7 (docs/guard.md).
inline constexpr double kLonelyOctaves = 5;
/// The same for tensors of one row, which have no columns to compare with: biases reach 6.0.
inline constexpr double kVectorOctaves = 12;
/// Blocks that may break what else would be a rule, of at least kRuleBlocks per breaker.
inline constexpr std::uint64_t kRuleBreakers = 4;
inline constexpr std::uint64_t kRuleBlocks = 5000;
/// Times our own encoder's error that a block of an honest rounding stays under.
inline constexpr double kErrorRatio = 8;

/// `original`: null, or the model that `model` was quantized from.
Result<ScanReport> scan_model(const ModelFile& model, const ModelFile* original, ThreadPool& pool,
                              const ScanOptions& options = {});

}  // namespace checkbit
