#include "measure/compare.h"

#include <algorithm>
#include <cmath>

#include "base/progress.h"
#include "score/divergence.h"
#include "score/quantile_sketch.h"

namespace checkbit {
namespace {

constexpr std::size_t kContextChunkTokens = 128;  // no logits are held there
constexpr std::size_t kCurveSteps = 100;

/// Columns of the bootstrap's table.
enum Column : std::size_t { kTokens, kLoss, kReferenceLoss, kDivergence, kChanged, kColumns };

std::size_t windows_of(std::size_t text_tokens, const CompareOptions& options) {
  const std::size_t windows = text_tokens / options.context_tokens;
  return options.max_windows > 0 ? std::min(windows, options.max_windows) : windows;
}

Status check_inputs(const LogitsSource& model, const LogitsSource* reference,
                    std::span<const TokenId> tokens, const CompareOptions& options) {
  const std::size_t context = options.context_tokens;
  if (context < kMinContextTokens) {
    return fail(ErrorKind::invalid, "--context {} is too short to score, the least is {}", context,
                kMinContextTokens);
  }
  if (options.chunk_tokens == 0) {
    return fail(ErrorKind::invalid, "a chunk of 0 tokens cannot be scored");
  }
  if (reference != nullptr && reference->vocabulary_size() != model.vocabulary_size()) {
    return fail(ErrorKind::invalid,
                "{} has {} tokens in its vocabulary and {} has {}: divergence needs models with "
                "the same tokenizer",
                model.name(), model.vocabulary_size(), reference->name(),
                reference->vocabulary_size());
  }
  if (tokens.size() < kMinContextTokens) {
    return fail(ErrorKind::budget,
                "the text has {} tokens, at least {} are needed (with --context {})", tokens.size(),
                kMinContextTokens, kMinContextTokens);
  }
  if (tokens.size() < context) {
    return fail(ErrorKind::budget,
                "the text has {} tokens, at least {} are needed for one window: give a longer text "
                "or --context {}",
                tokens.size(), context, tokens.size());
  }
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

/// Runs the windows and adds up their scores.
class Lockstep {
 public:
  Lockstep(LogitsSource& model, LogitsSource* reference, const CompareOptions& options,
           Progress& progress)
      : model_(model), reference_(reference), options_(options), progress_(progress) {}

  /// `window` holds context_tokens tokens.
  Status score_window(std::span<const TokenId> window) {
    window_.assign(window.begin(), window.end());
    if (options_.beginning.has_value()) window_[0] = *options_.beginning;
    scores_.emplace_back();
    CB_TRY_STATUS(model_.begin_window());
    if (reference_ != nullptr) CB_TRY_STATUS(reference_->begin_window());

    const std::size_t first_scored = options_.context_tokens / 2;
    const std::size_t end = options_.context_tokens - 1;  // the last token is only predicted
    for (std::size_t at = 0; at < end;) {
      if (cancel_requested()) return cancelled_error();
      const bool scored = at >= first_scored;
      const std::size_t limit = scored ? end : first_scored;
      const std::size_t step = scored ? options_.chunk_tokens : kContextChunkTokens;
      const std::size_t count = std::min(step, limit - at);
      CB_TRY_STATUS(read_chunk(at, count, scored));
      at += count;
      progress_.advance(count);
    }
    progress_.advance(1);
    return {};
  }

  const std::vector<WindowScore>& scores() const { return scores_; }
  const QuantileSketch& sketch() const { return sketch_; }

 private:
  Status read_chunk(std::size_t at, std::size_t count, bool scored) {
    const auto chunk = std::span<const TokenId>(window_).subspan(at, count);
    CB_TRY(const auto rows, model_.read(chunk, scored));
    std::span<const float> reference_rows;
    if (reference_ != nullptr) {
      CB_TRY(reference_rows, reference_->read(chunk, scored));
    }
    if (!scored) return {};
    const std::size_t width = model_.vocabulary_size();
    CB_CHECK(rows.size() == count * width);
    CB_CHECK(reference_ == nullptr || reference_rows.size() == rows.size());
    for (std::size_t i = 0; i < count; ++i) {
      const auto row = rows.subspan(i * width, width);
      const auto token = static_cast<std::size_t>(window_[at + i + 1]);
      if (reference_ == nullptr) {
        CB_TRY_STATUS(score_alone(row, token, at + i));
      } else {
        CB_TRY_STATUS(score_pair(row, reference_rows.subspan(i * width, width), token, at + i));
      }
    }
    return {};
  }

  Status score_alone(std::span<const float> row, std::size_t token, std::size_t position) {
    const RowSummary summary = summarize_row(row);
    const double loss = -log_probability(row, summary, token);
    CB_TRY_STATUS(check_finite(model_, summary.finite && std::isfinite(loss), position));
    scores_.back().tokens += 1;
    scores_.back().loss += loss;
    return {};
  }

  Status score_pair(std::span<const float> row, std::span<const float> reference_row,
                    std::size_t token, std::size_t position) {
    const RowComparison pair = compare_rows(reference_row, row);
    const double loss = -log_probability(row, pair.model, token);
    const double reference_loss = -log_probability(reference_row, pair.reference, token);
    const bool reference_usable = pair.reference.finite && std::isfinite(reference_loss);
    const bool model_usable =
        pair.model.finite && std::isfinite(loss) && std::isfinite(pair.kl_divergence);
    CB_TRY_STATUS(check_finite(*reference_, reference_usable, position));
    CB_TRY_STATUS(check_finite(model_, model_usable, position));
    WindowScore& score = scores_.back();
    score.tokens += 1;
    score.loss += loss;
    score.reference_loss += reference_loss;
    score.divergence += pair.kl_divergence;
    score.changed += pair.same_top() ? 0 : 1;
    sketch_.add(pair.kl_divergence);
    return {};
  }

  Status check_finite(const LogitsSource& source, bool usable, std::size_t position) const {
    if (usable) return {};
    return fail(ErrorKind::corrupt,
                "{}: logits are not finite in window {} at position {}: the model is damaged or "
                "not supported",
                source.name(), scores_.size() - 1, position);
  }

  LogitsSource& model_;
  LogitsSource* reference_;
  const CompareOptions& options_;
  Progress& progress_;
  std::vector<TokenId> window_;
  std::vector<WindowScore> scores_;
  QuantileSketch sketch_;
};

Statistic share_of_tokens(Column column) {
  return [column](std::span<const double> sums) { return sums[column] / sums[kTokens]; };
}

Statistic perplexity_of(Column loss) {
  return [loss](std::span<const double> sums) { return std::exp(sums[loss] / sums[kTokens]); };
}

DivergenceResult divergence_of(const BlockTable& table, const QuantileSketch& sketch,
                               const BootstrapOptions& options) {
  DivergenceResult result;
  result.perplexity_reference = bootstrap_interval(table, perplexity_of(kReferenceLoss), options);
  const auto ratio = [](std::span<const double> sums) {
    return std::exp((sums[kLoss] - sums[kReferenceLoss]) / sums[kTokens]);
  };
  result.perplexity_ratio = bootstrap_interval(table, ratio, options);
  result.mean = bootstrap_interval(table, share_of_tokens(kDivergence), options);
  result.top1_changed = bootstrap_interval(table, share_of_tokens(kChanged), options);
  result.median = sketch.quantile(0.5);
  result.p99 = sketch.quantile(0.99);
  result.max = sketch.max();
  for (std::size_t i = 0; i <= kCurveSteps; ++i) {
    result.quantile_curve.push_back(
        sketch.quantile(static_cast<double>(i) / static_cast<double>(kCurveSteps)));
  }
  return result;
}

}  // namespace

Result<ComparisonResult> compare_models(LogitsSource& model, LogitsSource* reference,
                                        std::span<const TokenId> tokens,
                                        const CompareOptions& options) {
  CB_TRY_STATUS(check_inputs(model, reference, tokens, options));
  const std::size_t context = options.context_tokens;
  const std::size_t windows = windows_of(tokens.size(), options);
  Progress progress(reference == nullptr ? "measuring" : "comparing", windows * context, "tokens");
  Lockstep lockstep(model, reference, options, progress);
  for (std::size_t i = 0; i < windows; ++i) {
    CB_TRY_STATUS(lockstep.score_window(tokens.subspan(i * context, context)));
  }

  ComparisonResult result;
  result.context_tokens = context;
  result.text_tokens = tokens.size();
  result.windows = lockstep.scores();
  BlockTable table(kColumns);
  for (const WindowScore& window : result.windows) {
    const double row[kColumns] = {window.tokens, window.loss, window.reference_loss,
                                  window.divergence, window.changed};
    table.add(row);
    result.scored_tokens += static_cast<std::uint64_t>(window.tokens);
  }
  result.perplexity = bootstrap_interval(table, perplexity_of(kLoss), options.bootstrap);
  if (reference != nullptr) {
    result.divergence = divergence_of(table, lockstep.sketch(), options.bootstrap);
  }
  return result;
}

std::uint64_t scored_tokens(std::size_t text_tokens, const CompareOptions& options) {
  const std::size_t of_window = options.context_tokens - 1 - options.context_tokens / 2;
  return windows_of(text_tokens, options) * of_window;
}

std::vector<Record> to_records(const ComparisonResult& result, const std::string& command) {
  std::vector<Record> records;
  const auto add = [&](const char* name, const char* unit, const Estimate& estimate) {
    Record record{.name = name, .value = estimate.value, .unit = unit, .command = command};
    if (estimate.interval.has_value()) {
      record.low = estimate.interval->low;
      record.high = estimate.interval->high;
    }
    records.push_back(record);
  };
  const auto plain = [](double value) { return Estimate{value, std::nullopt}; };
  add("perplexity", "", result.perplexity);
  if (result.divergence.has_value()) {
    const DivergenceResult& divergence = *result.divergence;
    add("perplexity_reference", "", divergence.perplexity_reference);
    add("perplexity_ratio", "", divergence.perplexity_ratio);
    add("kl_divergence_mean", "nats", divergence.mean);
    add("kl_divergence_median", "nats", plain(divergence.median));
    add("kl_divergence_p99", "nats", plain(divergence.p99));
    add("kl_divergence_max", "nats", plain(divergence.max));
    add("top1_changed", "share", divergence.top1_changed);
  }
  add("scored_tokens", "tokens", plain(static_cast<double>(result.scored_tokens)));
  add("windows", "", plain(static_cast<double>(result.windows.size())));
  return records;
}

}  // namespace checkbit
