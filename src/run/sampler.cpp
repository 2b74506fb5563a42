#include "run/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "base/canonical_math.h"
#include "base/random.h"

namespace checkbit {
namespace {

/// Differences of clamped logits stay finite.
constexpr float kLargestLogit = 1e30f;

Status check_range(const char* name, double value, double low, double high) {
  if (value >= low && value <= high) return {};  // false for NaN
  return fail(ErrorKind::invalid, "{} = {} is not in {}..{}", name, value, low, high);
}

}  // namespace

Result<Sampler> Sampler::create(const SamplerOptions& options, std::size_t vocabulary) {
  CB_TRY_STATUS(check_range("temperature", options.temperature, 0, 100));
  CB_TRY_STATUS(check_range("top-k", options.top_k, 0, 1 << 30));
  CB_TRY_STATUS(check_range("top-p", options.top_p, 0, 1));
  CB_TRY_STATUS(check_range("min-p", options.min_p, 0, 1));
  CB_TRY_STATUS(check_range("repetition penalty", options.repetition_penalty, 0.01, 100));
  CB_TRY_STATUS(check_range("presence penalty", options.presence_penalty, -100, 100));
  CB_TRY_STATUS(check_range("frequency penalty", options.frequency_penalty, -100, 100));
  for (const auto& [id, bias] : options.logit_bias) {
    if (id < 0 || static_cast<std::size_t>(id) >= vocabulary) {
      return fail(ErrorKind::invalid, "logit bias: token id {} is not in the vocabulary of {}", id,
                  vocabulary);
    }
    CB_TRY_STATUS(check_range("logit bias", bias, -1e6, 1e6));
  }
  return Sampler(options);
}

void Sampler::apply_penalties(std::span<const TokenId> history) {
  const auto window =
      std::min(history.size(), static_cast<std::size_t>(std::max(options_.penalty_window, 0)));
  std::unordered_map<TokenId, int> counts;
  for (const TokenId id : history.last(window)) ++counts[id];
  for (const auto& [id, count] : counts) {
    float& logit = adjusted_[static_cast<std::size_t>(id)];
    logit = logit > 0 ? logit / options_.repetition_penalty : logit * options_.repetition_penalty;
    logit -= options_.presence_penalty + options_.frequency_penalty * static_cast<float>(count);
  }
}

TokenId Sampler::sample(std::span<const float> logits, std::span<const TokenId> history,
                        std::uint64_t position) {
  const bool penalizes = options_.repetition_penalty != 1.0f || options_.presence_penalty != 0.0f ||
                         options_.frequency_penalty != 0.0f;
  if (penalizes || !options_.logit_bias.empty()) {
    adjusted_.assign(logits.begin(), logits.end());
    for (const auto& [id, bias] : options_.logit_bias)
      adjusted_[static_cast<std::size_t>(id)] += bias;
    if (penalizes) apply_penalties(history);
    logits = adjusted_;
  }
  // A hostile model can make NaN and infinities: NaN counts as impossible, so that order stays
  // total.
  candidates_.clear();
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const float logit = std::isnan(logits[i]) ? -std::numeric_limits<float>::infinity() : logits[i];
    candidates_.push_back(
        {std::clamp(logit, -kLargestLogit, kLargestLogit), static_cast<TokenId>(i)});
  }
  if (options_.temperature == 0.0f) {
    return std::max_element(candidates_.begin(), candidates_.end(),
                            [](const auto& a, const auto& b) { return a.logit < b.logit; })
        ->id;
  }
  keep_top_k();
  softmax();
  keep_top_p();
  keep_min_p();
  double total = 0;
  for (const double p : probabilities_) total += p;
  const double draw = Random(options_.seed, position).uniform() * total;
  double reached = 0;
  for (std::size_t i = 0; i < probabilities_.size(); ++i) {
    reached += probabilities_[i];
    if (draw < reached) return candidates_[i].id;
  }
  return candidates_[probabilities_.size() - 1].id;
}

/// Leaves the candidates sorted, most likely first. Without top-k only those that can have
/// probability above 2^-60 of the first are kept.
void Sampler::keep_top_k() {
  const auto likelier = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  };
  if (options_.top_k > 0 && static_cast<std::size_t>(options_.top_k) < candidates_.size()) {
    std::nth_element(candidates_.begin(), candidates_.begin() + options_.top_k, candidates_.end(),
                     likelier);
    candidates_.resize(static_cast<std::size_t>(options_.top_k));
  } else {
    const float best =
        std::max_element(candidates_.begin(), candidates_.end(), [](const auto& a, const auto& b) {
          return a.logit < b.logit;
        })->logit;
    std::erase_if(candidates_, [&](const Candidate& c) {
      return c.logit < best - 42.0f * options_.temperature;
    });
  }
  std::sort(candidates_.begin(), candidates_.end(), likelier);
}

void Sampler::softmax() {
  probabilities_.clear();
  double total = 0;
  for (const Candidate& c : candidates_) {
    const double p = canonical_exp((double{c.logit} - double{candidates_[0].logit}) /
                                   double{options_.temperature});
    probabilities_.push_back(p);
    total += p;
  }
  for (double& p : probabilities_) p /= total;
}

void Sampler::keep_top_p() {
  double reached = 0;
  std::size_t kept = 0;
  while (kept < probabilities_.size() && (kept == 0 || reached < double{options_.top_p}))
    reached += probabilities_[kept++];
  probabilities_.resize(kept);
}

void Sampler::keep_min_p() {
  const double least = double{options_.min_p} * probabilities_[0];
  while (probabilities_.size() > 1 && probabilities_.back() < least) probabilities_.pop_back();
}

}  // namespace checkbit
