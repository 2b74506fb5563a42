#include "measure/predict/token_table.h"

#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "base/progress.h"
#include "score/divergence.h"

namespace checkbit {
namespace {

constexpr std::size_t kContextChunkTokens = 128;

/// What a row of logits says beyond its summary.
struct Spread {
  double entropy = 0;
  double second = 0;  ///< the largest logit but one
};

Spread spread_of(std::span<const float> row, const RowSummary& summary) {
  Spread spread{.entropy = 0, .second = -std::numeric_limits<double>::infinity()};
  double moved = 0;
  for (std::size_t i = 0; i < row.size(); ++i) {
    const double below = static_cast<double>(row[i]) - summary.max;
    const double weight = std::exp(below);
    if (weight > 0) moved += weight * below;
    if (i != summary.top) spread.second = std::max(spread.second, static_cast<double>(row[i]));
  }
  spread.entropy = std::max(0.0, summary.log_sum - moved / std::exp(summary.log_sum));
  return spread;
}

class Collector {
 public:
  Collector(LogitsSource& model, LogitsSource& reference, ResidualMeter& meter,
            const CompareOptions& options, TokenTable& table, Progress& progress)
      : model_(model),
        reference_(reference),
        meter_(meter),
        options_(options),
        table_(table),
        progress_(progress) {}

  Status read_window(std::span<const TokenId> tokens) {
    window_.assign(tokens.begin(), tokens.end());
    if (options_.beginning) window_[0] = *options_.beginning;
    seen_.clear();
    CB_TRY_STATUS(model_.begin_window());
    CB_TRY_STATUS(reference_.begin_window());
    const std::size_t first_scored = window_.size() / 2;
    const std::size_t end = window_.size() - 1;
    for (std::size_t at = 0; at < end;) {
      if (cancel_requested()) return cancelled_error();
      const bool scored = at >= first_scored;
      const std::size_t step = scored ? options_.chunk_tokens : kContextChunkTokens;
      const std::size_t count = std::min(step, (scored ? end : first_scored) - at);
      CB_TRY_STATUS(read_chunk(at, count, scored));
      at += count;
      progress_.advance(count);
    }
    progress_.advance(1);
    table_.windows += 1;
    return {};
  }

 private:
  Status read_chunk(std::size_t at, std::size_t count, bool scored) {
    const auto chunk = std::span<const TokenId>(window_).subspan(at, count);
    meter_.clear();
    CB_TRY(const auto before, reference_.read(chunk, scored));
    CB_TRY(const auto after, model_.read(chunk, scored));
    for (std::size_t i = 0; i < count; ++i) {
      const bool seen = !seen_.insert(chunk[i]).second;
      if (!scored) continue;
      const auto row = static_cast<std::int64_t>(i);
      CB_TRY_STATUS(add_row(before.row(row), after.row(row), at + i, seen));
      for (std::size_t layer = 0; layer < meter_.layers(); ++layer)
        table_.residuals.push_back(meter_.size(layer, i));
    }
    return {};
  }

  Status add_row(std::span<const float> before, std::span<const float> after, std::size_t position,
                 bool seen) {
    const RowComparison pair = compare_rows(before, after);
    CB_TRY_STATUS(check_finite(reference_, pair.reference.finite, position));
    CB_TRY_STATUS(
        check_finite(model_, pair.model.finite && std::isfinite(pair.kl_divergence), position));
    const auto next = static_cast<std::size_t>(window_[position + 1]);
    const Spread spread = spread_of(before, pair.reference);
    TokenRow row;
    row.entropy = static_cast<float>(spread.entropy);
    row.top_log_probability = static_cast<float>(-pair.reference.log_sum);
    row.margin = static_cast<float>(std::min(pair.reference.max - spread.second, 100.0));
    row.window = static_cast<std::uint32_t>(table_.windows);
    row.position = static_cast<std::uint32_t>(position);
    row.read = window_[position];
    row.choice = static_cast<TokenId>(pair.reference.top);
    row.read_class =
        options_.classes->of(position > 0 ? window_[position - 1] : row.read, row.read);
    row.choice_class = options_.classes->of(row.read, row.choice);
    row.document = document_of(table_.windows * options_.context_tokens + position);
    row.seen_before = seen;
    row.reference_loss = static_cast<float>(-log_probability(before, pair.reference, next));
    row.loss = static_cast<float>(-log_probability(after, pair.model, next));
    row.divergence = static_cast<float>(pair.kl_divergence);
    row.choice_log_probability =
        static_cast<float>(log_probability(after, pair.model, pair.reference.top));
    row.changed = !pair.same_top();
    row.wrong = pair.model.top != next;
    const bool usable = std::isfinite(row.loss) && std::isfinite(row.choice_log_probability);
    CB_TRY_STATUS(check_finite(model_, usable, position));
    CB_TRY_STATUS(check_finite(reference_, std::isfinite(row.reference_loss), position));
    table_.rows.push_back(row);
    return {};
  }

  /// The last document that begins at or before a token of the text.
  std::uint32_t document_of(std::size_t token) const {
    const auto after =
        std::ranges::upper_bound(options_.documents, token, {}, &Document::first_token);
    return static_cast<std::uint32_t>(
        std::max<std::ptrdiff_t>(after - options_.documents.begin(), 1) - 1);
  }

  Status check_finite(const LogitsSource& source, bool usable, std::size_t position) const {
    if (usable) return {};
    return fail(ErrorKind::corrupt,
                "{}: logits are not finite in window {} at position {}: the model is damaged or "
                "not supported",
                source.name(), table_.windows, position);
  }

  LogitsSource& model_;
  LogitsSource& reference_;
  ResidualMeter& meter_;
  const CompareOptions& options_;
  TokenTable& table_;
  Progress& progress_;
  std::vector<TokenId> window_;
  std::unordered_set<TokenId> seen_;
};

Status check_inputs(const LogitsSource& model, const LogitsSource& reference,
                    std::span<const TokenId> tokens, const CompareOptions& options) {
  CB_CHECK(options.chunk_tokens > 0);
  const std::size_t size = reference.vocabulary_size();
  if (model.vocabulary_size() != size) {
    return fail(ErrorKind::invalid,
                "{} has {} tokens in its vocabulary and {} has {}: they need one tokenizer",
                model.name(), model.vocabulary_size(), reference.name(), size);
  }
  if (options.context_tokens < kMinContextTokens) {
    return fail(ErrorKind::invalid, "--context {} is too short to score, the least is {}",
                options.context_tokens, kMinContextTokens);
  }
  if (tokens.size() < options.context_tokens) {
    return fail(ErrorKind::budget, "the text has {} tokens, at least {} are needed for one window",
                tokens.size(), options.context_tokens);
  }
  const auto unknown = [size](TokenId id) {
    return id < 0 || static_cast<std::size_t>(id) >= size;
  };
  CB_CHECK(!options.beginning || !unknown(*options.beginning));
  const auto bad = std::ranges::find_if(tokens, unknown);
  if (bad == tokens.end()) return {};
  return fail(ErrorKind::invalid, "token {} at position {} is not in the vocabulary of {} ({})",
              *bad, bad - tokens.begin(), reference.name(), size);
}

}  // namespace

void ResidualMeter::before(const StepView& view) {
  if (view.layer < 0 || view.step.in != Slot::residual ||
      view.step.weight != Role::attention_norm) {
    return;
  }
  std::vector<float>& sizes = sizes_[static_cast<std::size_t>(view.layer)];
  for (std::int64_t t = 0; t < view.n_tokens; ++t) {
    const float* row = view.in + t * view.in_stride;
    double squares = 0;
    for (std::int64_t i = 0; i < view.in_size; ++i)
      squares += static_cast<double>(row[i]) * static_cast<double>(row[i]);
    const double mean = squares / static_cast<double>(view.in_size);
    sizes.push_back(static_cast<float>(0.5 * std::log(std::max(mean, 1e-60))));
  }
}

void ResidualMeter::clear() {
  for (auto& sizes : sizes_) sizes.clear();
}

Result<TokenTable> collect_tokens(LogitsSource& model, LogitsSource& reference,
                                  ResidualMeter& meter, std::span<const TokenId> tokens,
                                  const CompareOptions& options) {
  CB_CHECK(options.classes != nullptr);
  CB_TRY_STATUS(check_inputs(model, reference, tokens, options));
  TokenTable table;
  table.layers = meter.layers();
  table.context_tokens = options.context_tokens;
  std::size_t windows = tokens.size() / options.context_tokens;
  if (options.max_windows > 0) windows = std::min(windows, options.max_windows);
  for (const Document& document : options.documents) {
    if (document.first_token < windows * options.context_tokens)
      table.documents.push_back(document.title);
  }
  Progress progress("reading", windows * options.context_tokens, "tokens");
  Collector collector(model, reference, meter, options, table, progress);
  for (std::size_t w = 0; w < windows; ++w) {
    CB_TRY_STATUS(
        collector.read_window(tokens.subspan(w * options.context_tokens, options.context_tokens)));
  }
  return table;
}

}  // namespace checkbit
