// What quantization changed on a text: a reference and any number of candidates in lockstep, window
// by window.
//
// What: all models read the same tokens, the reference once; wherever a token is scored, each
//   candidate's row of logits is compared with the reference's and dropped. Gives perplexities,
//   their ratio, KL divergence, changed choices and what aggregate.h keeps, with 95 % intervals
//   from the paired block bootstrap.
// Windows: as the perplexity tool of llama.cpp does by default, so that perplexities agree. The
//   text is cut into full windows of `context_tokens`, a rest is left out. When the model begins
//   texts with a special token, that token replaces the first of each window. The first half of a
//   window is only context: position p >= context / 2 predicts token p + 1, the last position
//   predicts nothing, so a window scores context - 1 - context / 2 tokens.
// Stopping early: with `until`, windows are read in a seeded random order, so that where the
//   measurement stops does not depend on how the text begins, and it stops when the interval of
//   the mean divergence (without a reference, of the perplexity) of every candidate is as narrow as
//   asked. That interval is an anytime-valid one for the mean of all windows
//   (score/confidence_sequence.h) and takes the place of the bootstrap's.
// Broken candidates: one whose logits are not finite is named and left out from there on; its
//   figures are dropped, the others go on. A broken reference is an error.
// Units: nats, tokens, shares (0..1), seconds.
// Memory: a chunk of logits per model (in the sources) and an Aggregate per candidate, whatever the
//   length of the text.
// Errors: budget when the text is too short, invalid for vocabularies of different size or an
//   impossible option, corrupt for a reference whose logits are not finite, what a source returns,
//   cancelled (base/progress.h). Nothing partial is ever returned.
// Threads: one comparison uses its sources alone. Rows are compared on the threads of the model
//   that was read last, while they wait.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "measure/aggregate.h"
#include "measure/logits_source.h"
#include "report/record.h"
#include "score/statistics.h"

namespace checkbit {

struct CompareOptions {
  std::size_t context_tokens = 512;
  /// 0: all of the text.
  std::size_t max_windows = 0;
  /// Positions whose logits are held at once; fewer where a source holds fewer.
  std::size_t chunk_tokens = 32;
  /// Replaces the first token of each window, for models that want it.
  std::optional<TokenId> beginning;
  /// Stop at this half width of the interval, relative to the figure: 0.02 for 2 %.
  std::optional<double> until;
  std::uint64_t order_seed = 1;  ///< of the order of windows, with `until`
  BootstrapOptions bootstrap;
  const TokenClasses* classes = nullptr;  ///< none: no figures by class
  std::span<const Document> documents;    ///< empty: no figures by document
};

constexpr std::size_t kMinContextTokens = 8;

/// What only exists with a reference.
struct DivergenceResult {
  Estimate perplexity_reference;
  Estimate perplexity_ratio;  ///< model over reference: above 1 is worse
  Estimate mean;
  double median = 0;  ///< quantiles: within 0.5 % of the value
  double p90 = 0;
  double p99 = 0;
  double p999 = 0;
  double max = 0;
  Estimate top1_changed;
  Estimate top5_kept;
  Estimate top10_kept;
  Estimate rank_mean;  ///< of the reference's choice in the candidate, 1 for kept
  double rank_p99 = 0;
  double rank_max = 0;
  Estimate entropy_reference;
  Estimate probability_change_rms;  ///< of the actual token's probability
  /// Of windows: where the candidate is more surprised than the reference. Wilson interval.
  Estimate windows_worse;
  double windows_worse_p_value = 1;  ///< sign test, two-sided
  /// Quantiles of the divergence per token at 0, 1/100, ..., 1.
  std::vector<double> quantile_curve;
  std::vector<GroupFigures> by_position;
  std::vector<GroupFigures> by_class;
  std::vector<GroupFigures> by_document;
  std::vector<SurenessBin> by_sureness;
  std::vector<ChangedChoice> examples;
};

struct CandidateResult {
  std::string name;
  /// Where its logits were not finite; then nothing below means anything.
  std::optional<std::string> broken;
  Estimate perplexity;
  Estimate entropy;
  std::optional<DivergenceResult> divergence;
  BlockTable blocks{kBlockColumns};
  std::size_t windows_per_block = 1;
  double forward_seconds = 0;
};

/// How a measurement with `until` ended.
struct EarlyStop {
  double wanted = 0;   ///< relative half width
  double reached = 0;  ///< the widest candidate's
  std::uint64_t windows_spared = 0;
};

/// What holds for a whole run, whatever the candidates.
struct RunSummary {
  std::optional<std::string> reference;  ///< its name
  std::optional<EarlyStop> early_stop;
  std::size_t context_tokens = 0;
  std::uint64_t windows = 0;       ///< read
  std::uint64_t text_windows = 0;  ///< asked for: of the text, up to max_windows
  std::uint64_t scored_tokens = 0;
  std::uint64_t text_tokens = 0;  ///< in the text, scored or not
  std::string text_hash;          ///< of its tokens, 16 digits of XXH3: equal for equal texts
  double forward_seconds = 0;     ///< in the forward passes of all models
  double compare_seconds = 0;     ///< between them
};

struct ComparisonResult : RunSummary {
  std::vector<CandidateResult> candidates;  ///< in the order given
};

/// Perplexity of each candidate, or with `reference` the whole comparison. Null: none.
/// `tokens`: the text as the models' tokenizer gives it, special tokens included.
/// Precondition: at least one candidate.
Result<ComparisonResult> compare_models(std::span<LogitsSource* const> candidates,
                                        LogitsSource* reference, std::span<const TokenId> tokens,
                                        const CompareOptions& options = {});
/// The same for one candidate; a broken one is an error (corrupt).
Result<ComparisonResult> compare_models(LogitsSource& candidate, LogitsSource* reference,
                                        std::span<const TokenId> tokens,
                                        const CompareOptions& options = {});

/// How many tokens `compare_models` scores in a text of so many, when it does not stop early.
std::uint64_t scored_tokens(std::size_t text_tokens, const CompareOptions& options);

/// A candidate's figures under their fixed names (docs/adding.md); none when it is broken.
std::vector<Record> to_records(const CandidateResult& candidate, const std::string& command);
/// Reads figures back that to_records wrote; those without a place are left alone.
void from_records(std::span<const Record> records, CandidateResult& candidate);
/// What holds for the whole run: scored_tokens, windows, windows_spared, forward_seconds,
/// compare_seconds, measured_tokens_per_second. `models`: how many read the text.
std::vector<Record> run_records(const RunSummary& run, std::size_t models,
                                const std::string& command);

}  // namespace checkbit
