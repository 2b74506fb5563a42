// What quantization changed on a text: two models in lockstep, window by window.
//
// What: both models read the same tokens; wherever a token is scored, their two rows of logits are
//   compared and dropped. Gives perplexity of each, their ratio, the KL divergence and the share of
//   changed next-token choices, each with a 95 % interval from the paired block bootstrap.
// Windows: as the perplexity tool of llama.cpp does by default, so that perplexities agree. The
// text
//   is cut into full windows of `context_tokens`, a rest is left out. When the model begins texts
//   with a special token, that token replaces the first of each window. The first half of a
//   window is only context: position p >= context / 2 predicts token p + 1, the last position
//   predicts nothing, so a window scores context - 1 - context / 2 tokens.
// Units: nats, tokens, shares (0..1).
// Memory: two chunks of logits (in the sources), a sketch of 33 kB and five numbers per window.
// Errors: budget when the text is too short, invalid for vocabularies of different size or an
//   impossible option, corrupt for logits that are not finite, what a source returns, cancelled
//   (base/progress.h). Nothing partial is ever returned.
// Threads: one comparison uses its sources alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "report/record.h"
#include "run/tokenizer.h"
#include "score/statistics.h"

namespace checkbit {

/// A model as `compare_models` sees it. The session implements it; tests implement it with tables.
class LogitsSource {
 public:
  virtual ~LogitsSource() = default;
  /// Printed in errors: the model's file name.
  virtual std::string name() const = 0;
  /// Floats in a row of logits.
  virtual std::size_t vocabulary_size() const = 0;
  /// Forgets all context: the next token is the first of a text.
  virtual Status begin_window() = 0;
  /// Reads `tokens` after those already read in this window. With `want_logits` returns
  /// [tokens.size(), vocabulary_size()] row-major, row i being the prediction after tokens[i];
  /// valid until the next call. Without it returns nothing and may skip the output layer.
  virtual Result<std::span<const float>> read(std::span<const TokenId> tokens,
                                              bool want_logits) = 0;
};

struct CompareOptions {
  std::size_t context_tokens = 512;
  /// 0: all of the text.
  std::size_t max_windows = 0;
  /// Positions whose logits are held at once.
  std::size_t chunk_tokens = 32;
  /// Replaces the first token of each window, for models that want it.
  std::optional<TokenId> beginning;
  BootstrapOptions bootstrap;
};

constexpr std::size_t kMinContextTokens = 8;

/// Sums over the scored tokens of one window.
struct WindowScore {
  double tokens = 0;
  double loss = 0;  ///< negative log likelihood under the model
  double reference_loss = 0;
  double divergence = 0;
  double changed = 0;  ///< tokens where the two most likely next tokens differ
};

/// What only exists with a reference.
struct DivergenceResult {
  Estimate perplexity_reference;
  Estimate perplexity_ratio;  ///< model over reference: above 1 is worse
  Estimate mean;
  double median = 0;  ///< quantiles: within 0.5 % of the value
  double p99 = 0;
  double max = 0;
  Estimate top1_changed;
  /// Quantiles of the divergence per token at 0, 1/100, ..., 1.
  std::vector<double> quantile_curve;
};

struct ComparisonResult {
  Estimate perplexity;
  std::optional<DivergenceResult> divergence;
  std::size_t context_tokens = 0;
  std::uint64_t scored_tokens = 0;
  std::uint64_t text_tokens = 0;  ///< in the text, scored or not
  std::vector<WindowScore> windows;
};

/// Perplexity of one model, or with `reference` the whole comparison.
/// `tokens`: the text as the model's tokenizer gives it, special tokens included.
Result<ComparisonResult> compare_models(LogitsSource& model, LogitsSource* reference,
                                        std::span<const TokenId> tokens,
                                        const CompareOptions& options = {});

/// How many tokens `compare_models` scores in a text of so many.
std::uint64_t scored_tokens(std::size_t text_tokens, const CompareOptions& options);

/// Under their fixed names: perplexity, perplexity_reference, perplexity_ratio,
/// kl_divergence_{mean,median,p99,max}, top1_changed, scored_tokens, windows.
std::vector<Record> to_records(const ComparisonResult& result, const std::string& command);

}  // namespace checkbit
