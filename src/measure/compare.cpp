#include "measure/compare.h"

#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/progress.h"
#include "base/random.h"
#include "measure/lockstep.h"
#include "score/confidence_sequence.h"
#include "score/paired_tests.h"

namespace checkbit {
namespace {

constexpr std::size_t kCurveSteps = 100;

std::size_t windows_of(std::size_t text_tokens, const CompareOptions& options) {
  const std::size_t windows = text_tokens / options.context_tokens;
  return options.max_windows > 0 ? std::min(windows, options.max_windows) : windows;
}

Status check_length(std::size_t tokens, std::size_t context) {
  if (tokens < kMinContextTokens) {
    return fail(ErrorKind::budget,
                "the text has {} tokens, at least {} are needed (with --context {})", tokens,
                kMinContextTokens, kMinContextTokens);
  }
  if (tokens < context) {
    return fail(ErrorKind::budget,
                "the text has {} tokens, at least {} are needed for one window: give a longer text "
                "or --context {}",
                tokens, context, tokens);
  }
  return {};
}

Status check_vocabularies(std::span<LogitsSource* const> candidates,
                          const LogitsSource* reference) {
  const LogitsSource& first = reference != nullptr ? *reference : *candidates.front();
  for (const LogitsSource* model : candidates) {
    if (model->vocabulary_size() == first.vocabulary_size()) continue;
    return fail(ErrorKind::invalid,
                "{} has {} tokens in its vocabulary and {} has {}: models are compared only with "
                "the same tokenizer",
                model->name(), model->vocabulary_size(), first.name(), first.vocabulary_size());
  }
  return {};
}

Status check_inputs(std::span<LogitsSource* const> candidates, const LogitsSource* reference,
                    std::span<const TokenId> tokens, const CompareOptions& options) {
  if (options.context_tokens < kMinContextTokens) {
    return fail(ErrorKind::invalid, "--context {} is too short to score, the least is {}",
                options.context_tokens, kMinContextTokens);
  }
  if (options.chunk_tokens == 0) {
    return fail(ErrorKind::invalid, "a chunk of 0 tokens cannot be scored");
  }
  if (options.until.has_value() && !(*options.until > 0 && *options.until < 1)) {
    return fail(ErrorKind::invalid, "an interval cannot be asked for within {} %",
                100 * *options.until);
  }
  CB_TRY_STATUS(check_vocabularies(candidates, reference));
  CB_TRY_STATUS(check_length(tokens.size(), options.context_tokens));
  const LogitsSource& model = *candidates.front();
  const auto vocabulary = static_cast<TokenId>(model.vocabulary_size());
  const auto unknown = [vocabulary](TokenId id) { return id < 0 || id >= vocabulary; };
  if (options.beginning.has_value() && unknown(*options.beginning)) {
    return fail(ErrorKind::invalid, "beginning token {} is not in the vocabulary of {} ({})",
                *options.beginning, model.name(), vocabulary);
  }
  const auto bad = std::find_if(tokens.begin(), tokens.end(), unknown);
  if (bad != tokens.end()) {
    return fail(ErrorKind::invalid, "token {} at position {} is not in the vocabulary of {} ({})",
                *bad, bad - tokens.begin(), model.name(), vocabulary);
  }
  return {};
}

/// Text order; with `until` a random one, the same for the same seed and number of windows.
std::vector<std::size_t> window_order(std::size_t windows, const CompareOptions& options) {
  std::vector<std::size_t> order(windows);
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (!options.until.has_value()) return order;
  Random random(options.order_seed);
  for (std::size_t i = windows; i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  return order;
}

/// Watches the intervals of a measurement that may stop early.
class Stopper {
 public:
  Stopper(std::size_t candidates, bool paired, std::size_t windows, const BootstrapOptions& options)
      : paired_(paired),
        sequences_(candidates,
                   ConfidenceSequence({.confidence = options.confidence, .population = windows})) {}

  void add_window(std::size_t candidate, const Aggregate& aggregate) {
    const auto& sums = aggregate.last_window();
    sequences_[candidate].add(sums[paired_ ? kDivergence : kLoss] / sums[kTokens]);
  }

  /// Half width relative to the figure; infinite while there is none.
  double relative_half_width(std::size_t candidate) const {
    const std::optional<Interval> interval = interval_of(candidate);
    if (!interval) return std::numeric_limits<double>::infinity();
    const double half = 0.5 * (interval->high - interval->low);
    return half == 0 ? 0 : half / figure(sequences_[candidate].mean());
  }

  std::optional<Interval> interval_of(std::size_t candidate) const {
    const ConfidenceSequence& sequence = sequences_[candidate];
    const std::optional<double> half = sequence.half_width();
    if (!half) return std::nullopt;
    const double low = sequence.mean() - *half;
    return Interval{figure(paired_ ? std::max(0.0, low) : low), figure(sequence.mean() + *half)};
  }

 private:
  /// The mean loss stands for the perplexity; every window scores as many tokens.
  double figure(double mean) const { return paired_ ? mean : std::exp(mean); }

  bool paired_;
  std::vector<ConfidenceSequence> sequences_;
};

double widest(const Lockstep& lockstep, const Stopper& stopper) {
  double most = 0;
  for (std::size_t i = 0; i < lockstep.candidates().size(); ++i) {
    if (lockstep.candidates()[i].broken) continue;
    most = std::max(most, stopper.relative_half_width(i));
  }
  return most;
}

Statistic share_of_tokens(BlockColumn column) {
  return [column](std::span<const double> sums) { return sums[column] / sums[kTokens]; };
}

Statistic perplexity_of(BlockColumn loss) {
  return [loss](std::span<const double> sums) { return std::exp(sums[loss] / sums[kTokens]); };
}

void add_intervals(const BlockTable& blocks, const BootstrapOptions& options,
                   DivergenceResult& result) {
  const auto ratio = [](std::span<const double> sums) {
    return std::exp((sums[kLoss] - sums[kReferenceLoss]) / sums[kTokens]);
  };
  const auto rms = [](std::span<const double> sums) {
    return std::sqrt(sums[kProbabilitySquares] / sums[kTokens]);
  };
  const std::pair<Estimate*, Statistic> wanted[] = {
      {&result.perplexity_reference, perplexity_of(kReferenceLoss)},
      {&result.perplexity_ratio, ratio},
      {&result.mean, share_of_tokens(kDivergence)},
      {&result.top1_changed, share_of_tokens(kChanged)},
      {&result.top5_kept, share_of_tokens(kTop5Kept)},
      {&result.top10_kept, share_of_tokens(kTop10Kept)},
      {&result.rank_mean, share_of_tokens(kRank)},
      {&result.entropy_reference, share_of_tokens(kReferenceEntropy)},
      {&result.probability_change_rms, rms}};
  std::vector<Statistic> statistics;
  for (const auto& [estimate, statistic] : wanted) statistics.push_back(statistic);
  const std::vector<Estimate> estimates = bootstrap_intervals(blocks, statistics, options);
  for (std::size_t i = 0; i < estimates.size(); ++i) *wanted[i].first = estimates[i];
}

DivergenceResult divergence_of(const Aggregate& aggregate, const BlockTable& blocks,
                               const BootstrapOptions& options) {
  DivergenceResult result;
  add_intervals(blocks, options, result);
  const QuantileSketch& sketch = aggregate.divergences();
  result.median = sketch.quantile(0.5);
  result.p90 = sketch.quantile(0.9);
  result.p99 = sketch.quantile(0.99);
  result.p999 = sketch.quantile(0.999);
  result.max = sketch.max();
  result.rank_p99 = std::round(aggregate.ranks().quantile(0.99));
  result.rank_max = aggregate.ranks().max();
  for (std::size_t i = 0; i <= kCurveSteps; ++i) {
    result.quantile_curve.push_back(
        sketch.quantile(static_cast<double>(i) / static_cast<double>(kCurveSteps)));
  }
  const std::uint64_t worse = aggregate.windows_worse();
  const std::uint64_t differing = worse + aggregate.windows_better();
  if (differing > 0) {
    result.windows_worse = {static_cast<double>(worse) / static_cast<double>(differing),
                            wilson_interval(worse, differing, options.confidence)};
  }
  result.windows_worse_p_value = sign_test(worse, aggregate.windows_better());
  result.by_position = aggregate.by_position();
  result.by_class = aggregate.by_class();
  result.by_document = aggregate.by_document();
  result.by_sureness = aggregate.by_sureness();
  result.examples = aggregate.examples();
  return result;
}

CandidateResult result_of(const Lockstep::Candidate& candidate, bool paired,
                          const BootstrapOptions& options) {
  CandidateResult result;
  result.name = candidate.source->name();
  result.broken = candidate.broken;
  result.forward_seconds = candidate.forward_seconds;
  if (candidate.broken) return result;
  result.blocks = candidate.aggregate.blocks();
  result.windows_per_block = candidate.aggregate.windows_per_block();
  const Statistic wanted[] = {perplexity_of(kLoss), share_of_tokens(kEntropy)};
  const std::vector<Estimate> estimates = bootstrap_intervals(result.blocks, wanted, options);
  result.perplexity = estimates[0];
  result.entropy = estimates[1];
  if (paired) result.divergence = divergence_of(candidate.aggregate, result.blocks, options);
  return result;
}

std::string hash_of(std::span<const TokenId> tokens) {
  return fmt::format("{:016x}", XXH3_64bits(tokens.data(), tokens.size_bytes()));
}

}  // namespace

Result<ComparisonResult> compare_models(std::span<LogitsSource* const> candidates,
                                        LogitsSource* reference, std::span<const TokenId> tokens,
                                        const CompareOptions& options) {
  CB_CHECK(!candidates.empty());
  CB_TRY_STATUS(check_inputs(candidates, reference, tokens, options));
  const std::size_t windows = windows_of(tokens.size(), options);
  const bool paired = reference != nullptr;
  Progress progress(paired ? "comparing" : "measuring", windows * options.context_tokens, "tokens");
  Lockstep lockstep(candidates, reference, options, progress);
  Stopper stopper(candidates.size(), paired, windows, options.bootstrap);
  ComparisonResult result;
  for (const std::size_t window : window_order(windows, options)) {
    CB_TRY_STATUS(lockstep.score_window(tokens, window));
    if (lockstep.all_broken()) break;
    result.windows += 1;
    if (!options.until.has_value()) continue;
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      const Lockstep::Candidate& candidate = lockstep.candidates()[i];
      if (!candidate.broken) stopper.add_window(i, candidate.aggregate);
    }
    if (widest(lockstep, stopper) <= *options.until) break;
  }

  if (paired) result.reference = reference->name();
  result.context_tokens = options.context_tokens;
  result.text_tokens = tokens.size();
  result.text_windows = windows;
  result.scored_tokens =
      result.windows * (Lockstep::last_scored(options) - Lockstep::first_scored(options));
  result.text_hash = hash_of(tokens);
  result.forward_seconds = lockstep.reference_forward_seconds();
  result.compare_seconds = lockstep.compare_seconds();
  for (const Lockstep::Candidate& candidate : lockstep.candidates()) {
    result.candidates.push_back(result_of(candidate, paired, options.bootstrap));
    result.forward_seconds += candidate.forward_seconds;
  }
  if (!options.until.has_value()) return result;
  result.early_stop = EarlyStop{.wanted = *options.until,
                                .reached = widest(lockstep, stopper),
                                .windows_spared = windows - result.windows};
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    CandidateResult& candidate = result.candidates[i];
    if (candidate.broken) continue;
    Estimate& stopped_on = paired ? candidate.divergence->mean : candidate.perplexity;
    stopped_on.interval = stopper.interval_of(i);
  }
  return result;
}

Result<ComparisonResult> compare_models(LogitsSource& candidate, LogitsSource* reference,
                                        std::span<const TokenId> tokens,
                                        const CompareOptions& options) {
  LogitsSource* const candidates[] = {&candidate};
  CB_TRY(ComparisonResult result, compare_models(candidates, reference, tokens, options));
  if (const auto& broken = result.candidates.front().broken) {
    return fail(ErrorKind::corrupt, "{}", *broken);
  }
  return result;
}

std::uint64_t scored_tokens(std::size_t text_tokens, const CompareOptions& options) {
  const std::size_t context = options.context_tokens;
  if (context == 0) return 0;
  return windows_of(text_tokens, options) *
         static_cast<std::uint64_t>(Lockstep::last_scored(options) -
                                    Lockstep::first_scored(options));
}

}  // namespace checkbit
