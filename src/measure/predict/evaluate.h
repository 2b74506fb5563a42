// How well each predictor foretells failures on windows that it has not seen.
//
// What: windows are dealt at random (seeded) into three parts: 2/5 to fit predictors, 1/5 to turn
//   scores into probabilities, 2/5 held out. Each predictor then ranks the held-out tokens (did the
//   choice change? is it wrong?) and the held-out windows (is the loss among the worst tenth?). A
//   window's score is the mean of its tokens' under `changed`.
// Figures: area under the ROC curve with DeLong's interval over windows, its paired difference from
//   the first predictor (entropy), expected calibration error with its bootstrap interval.
//   Probabilities: isotonic for tokens, logistic for windows, which are few.
// Errors: budget, when there are fewer than kLeastWindows windows, or no failures to foretell.
// Threads: pure functions.
// Reference: the papers named in each predictor's file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "measure/predict/predictor.h"
#include "measure/predict/subgroups.h"
#include "report/record.h"
#include "score/ranking.h"

namespace checkbit {

inline constexpr std::size_t kLeastWindows = 15;
/// A window breaks when its loss grows as much as that of the worst tenth.
inline constexpr double kWorstShare = 0.1;

struct PredictorResult {
  const Predictor* predictor = nullptr;
  Estimate auc;
  std::optional<Estimate> gain;  ///< over the first predictor
  Estimate calibration;
  std::vector<CalibrationBin> bins;
};

/// One kind of failure.
struct TargetResult {
  std::string name;       ///< "changed", "wrong", "worse"
  std::string title;      ///< "the choice changes"
  std::string unit;       ///< "tokens" or "windows"
  std::size_t items = 0;  ///< held out
  std::size_t failures = 0;
  /// In the order of predictors.def; empty when none or all of few held-out windows fail.
  std::vector<PredictorResult> predictors;
};

struct LayerCorrelation {
  Estimate windows;  ///< mean log size of a window against the growth of its loss
  Estimate tokens;   ///< log size against log divergence
};

struct WindowResult {
  std::uint32_t window = 0;
  bool held = false;
  double growth = 0;       ///< low-bit loss minus reference loss, nats per token
  double divergence = 0;   ///< mean, nats
  double changed = 0;      ///< share of choices
  double probability = 0;  ///< of being among the worst tenth, as `combined` says
};

struct PredictionResult {
  std::size_t windows[3] = {0, 0, 0};  ///< fitted, calibrated, held out
  std::vector<TargetResult> targets;
  std::vector<LayerCorrelation> layers;
  LayerCorrelation late;  ///< of the last quarter of the layers together
  SubgroupSearch subgroups;
  double worst_growth = 0;           ///< where the worst tenth begins
  double error_share = 0;            ///< of the low-bit losses, as the veracity filter sees it
  std::vector<WindowResult> ranked;  ///< all windows, likeliest to break first
};

Result<PredictionResult> evaluate_predictors(const TokenTable& table, std::uint64_t seed = 1);

/// auc_TARGET_PREDICTOR, auc_gain_TARGET_PREDICTOR, calibration_error_TARGET_PREDICTOR, `auc` (of
/// `combined` on changed choices), residual_correlation, ...
std::vector<Record> to_records(const PredictionResult& result, const std::string& command);

}  // namespace checkbit
