#include "measure/lockstep.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "score/divergence.h"

namespace checkbit {
namespace {

constexpr std::size_t kContextChunkTokens = 256;  // no logits are held there

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// The probability of the likeliest token: its logit is the largest, so exp(0) over the sum.
double top_probability(const RowSummary& row) { return std::exp(-row.log_sum); }

TokenScore score_alone(std::span<const float> row, std::size_t actual) {
  const RowSummary summary = summarize_row(row);
  TokenScore score;
  score.loss = -log_probability(row, summary, actual);
  score.entropy = summary.entropy;
  score.finite = summary.finite && std::isfinite(score.loss);
  return score;
}

TokenScore score_pair(std::span<const float> reference, const TopTokens& reference_top,
                      std::span<const float> row, std::size_t actual) {
  const TopTokens top = find_top_tokens(row);
  const RowComparison pair = compare_rows(reference, reference_top, row, top);
  TokenScore score;
  score.loss = -log_probability(row, pair.model, actual);
  score.reference_loss = -log_probability(reference, pair.reference, actual);
  score.divergence = pair.kl_divergence;
  score.finite = pair.model.finite && std::isfinite(score.loss) && std::isfinite(score.divergence);
  score.reference_finite = pair.reference.finite && std::isfinite(score.reference_loss);
  if (!score.finite || !score.reference_finite) return score;
  score.entropy = pair.model.entropy;
  score.reference_entropy = pair.reference.entropy;
  score.top5_kept = share_kept(reference_top, top, 5);
  score.top10_kept = share_kept(reference_top, top, kTopTokens);
  const std::size_t wanted = pair.reference.top;
  score.reference_rank = static_cast<double>(rank_of(row, top, wanted));
  score.choice = static_cast<TokenId>(pair.model.top);
  score.reference_choice = static_cast<TokenId>(wanted);
  score.choice_probability = top_probability(pair.model);
  score.reference_choice_probability = top_probability(pair.reference);
  score.kept_probability = std::exp(log_probability(row, pair.model, wanted));
  return score;
}

}  // namespace

Lockstep::Lockstep(std::span<LogitsSource* const> candidates, LogitsSource* reference,
                   const CompareOptions& options, Progress& progress)
    : reference_(reference),
      options_(options),
      progress_(progress),
      chunk_tokens_(options.chunk_tokens) {
  const AggregateOptions aggregate{.first_scored = first_scored(options),
                                   .last_scored = last_scored(options),
                                   .classes = options.classes,
                                   .documents = options.documents};
  for (LogitsSource* source : candidates) {
    candidates_.push_back({source, std::nullopt, Aggregate(aggregate), 0});
    chunk_tokens_ = std::min(chunk_tokens_, source->max_logits());
  }
  if (reference != nullptr) chunk_tokens_ = std::min(chunk_tokens_, reference->max_logits());
}

bool Lockstep::all_broken() const {
  return std::ranges::all_of(candidates_, [](const Candidate& c) { return c.broken.has_value(); });
}

Status Lockstep::score_window(std::span<const TokenId> tokens, std::size_t index) {
  window_index_ = index;
  const auto window = tokens.subspan(index * options_.context_tokens, options_.context_tokens);
  window_.assign(window.begin(), window.end());
  if (options_.beginning.has_value()) window_[0] = *options_.beginning;
  if (reference_ != nullptr) CB_TRY_STATUS(reference_->begin_window());
  for (Candidate& candidate : candidates_) {
    if (!candidate.broken) CB_TRY_STATUS(candidate.source->begin_window());
  }
  const std::size_t first = first_scored(options_);
  const std::size_t end = last_scored(options_);
  for (std::size_t at = 0; at < end;) {
    const bool scored = at >= first;
    const std::size_t limit = scored ? end : first;
    const std::size_t count = std::min(scored ? chunk_tokens_ : kContextChunkTokens, limit - at);
    CB_TRY_STATUS(read_chunk(at, count, scored));
    at += count;
    progress_.advance(count);
  }
  for (Candidate& candidate : candidates_) {
    if (!candidate.broken) candidate.aggregate.close_window();
  }
  progress_.advance(1);
  return {};
}

Result<LogitsView> Lockstep::timed_read(LogitsSource& source, std::size_t at, std::size_t count,
                                        bool scored, double& seconds) {
  if (cancel_requested()) return cancelled_error();
  const Clock::time_point start = Clock::now();
  CB_TRY(const LogitsView rows,
         source.read(std::span<const TokenId>(window_).subspan(at, count), scored));
  seconds += seconds_since(start);
  CB_CHECK(!scored || (rows.rows == static_cast<std::int64_t>(count) &&
                       rows.vocabulary == static_cast<std::int64_t>(source.vocabulary_size())));
  return rows;
}

Status Lockstep::read_chunk(std::size_t at, std::size_t count, bool scored) {
  LogitsView reference_rows;
  if (reference_ != nullptr) {
    CB_TRY(reference_rows, timed_read(*reference_, at, count, scored, reference_seconds_));
    if (scored) {
      const Clock::time_point start = Clock::now();
      reference_tops_.resize(count);
      for_rows(*reference_, count, [&](std::size_t i) {
        reference_tops_[i] = find_top_tokens(reference_rows.row(static_cast<std::int64_t>(i)));
      });
      compare_seconds_ += seconds_since(start);
    }
  }
  for (Candidate& candidate : candidates_) {
    if (candidate.broken) continue;
    CB_TRY(const LogitsView rows,
           timed_read(*candidate.source, at, count, scored, candidate.forward_seconds));
    if (!scored) continue;
    const Clock::time_point start = Clock::now();
    CB_TRY_STATUS(
        compare_chunk(candidate, rows, reference_ == nullptr ? nullptr : &reference_rows, at));
    compare_seconds_ += seconds_since(start);
  }
  return {};
}

Status Lockstep::compare_chunk(Candidate& candidate, const LogitsView& rows,
                               const LogitsView* reference_rows, std::size_t at) {
  const auto count = static_cast<std::size_t>(rows.rows);
  scores_.resize(count);
  for_rows(*candidate.source, count, [&](std::size_t i) {
    const auto row = static_cast<std::int64_t>(i);
    const auto actual = static_cast<std::size_t>(window_[at + i + 1]);
    scores_[i] = reference_rows == nullptr ? score_alone(rows.row(row), actual)
                                           : score_pair(reference_rows->row(row),
                                                        reference_tops_[i], rows.row(row), actual);
  });
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t position = at + i;
    if (!scores_[i].reference_finite) {
      return fail(ErrorKind::corrupt, "{}", not_finite(*reference_, position));
    }
    if (!scores_[i].finite) {
      candidate.broken = not_finite(*candidate.source, position);
      return {};
    }
    const TokenPlace place{.window = window_index_,
                           .position = position,
                           .text_position = window_index_ * options_.context_tokens + position + 1,
                           .before = std::span<const TokenId>(window_).first(position + 1),
                           .actual = window_[position + 1]};
    candidate.aggregate.add(place, scores_[i]);
  }
  return {};
}

template <class F>
void Lockstep::for_rows(LogitsSource& owner, std::size_t count, const F& f) {
  ThreadPool* pool = owner.pool();
  const auto range = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) f(static_cast<std::size_t>(i));
  };
  if (pool == nullptr) return range(0, static_cast<std::int64_t>(count));
  pool->for_ranges(static_cast<std::int64_t>(count), range);
}

std::string Lockstep::not_finite(const LogitsSource& source, std::size_t position) const {
  return fmt::format(
      "{}: logits are not finite in window {} at position {}: the model is damaged or not "
      "supported",
      source.name(), window_index_, position);
}

}  // namespace checkbit
