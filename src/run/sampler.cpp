#include "run/sampler.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "base/canonical_math.h"
#include "base/random.h"

namespace checkbit {
namespace {

/// Differences of clamped logits stay finite.
constexpr float kLargestLogit = 1e30f;
constexpr std::size_t kBlock = 512;

/// A hostile model can make NaN and infinities: NaN counts as impossible, so that order stays
/// total.
float usable(float logit) {
  return std::isnan(logit) ? -kLargestLogit : std::clamp(logit, -kLargestLogit, kLargestLogit);
}

/// Lanes, so that the compiler may use vectors: a comparison with NaN is false.
float largest_of(std::span<const float> block) {
  constexpr std::size_t kLanes = 16;
  float lanes[kLanes];
  std::fill_n(lanes, kLanes, -kLargestLogit);
  std::size_t i = 0;
  for (; i + kLanes <= block.size(); i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane)
      lanes[lane] = block[i + lane] > lanes[lane] ? block[i + lane] : lanes[lane];
  }
  float largest = *std::max_element(lanes, lanes + kLanes);
  for (; i < block.size(); ++i) largest = std::max(largest, usable(block[i]));
  return std::min(largest, kLargestLogit);
}

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
  const float best = find_peaks(logits);
  if (options_.temperature == 0.0f) return first_of(logits, best);
  // What is less likely than 2^-60 of the best is never drawn.
  collect_candidates(logits, best - 42.0f * options_.temperature);
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

/// The largest logit, and those of the blocks: what follows looks into few of them. Vocabularies
/// have up to 262,144 tokens, and every token generated waits for this.
float Sampler::find_peaks(std::span<const float> logits) {
  peaks_.clear();
  float best = -kLargestLogit;
  for (std::size_t begin = 0; begin < logits.size(); begin += kBlock) {
    const std::span<const float> block =
        logits.subspan(begin, std::min(kBlock, logits.size() - begin));
    peaks_.push_back(largest_of(block));
    best = std::max(best, peaks_.back());
  }
  return best;
}

/// The smallest id among the best.
TokenId Sampler::first_of(std::span<const float> logits, float best) const {
  for (std::size_t block = 0; block < peaks_.size(); ++block) {
    if (peaks_[block] < best) continue;
    const std::size_t end = std::min((block + 1) * kBlock, logits.size());
    for (std::size_t i = block * kBlock; i < end; ++i) {
      if (usable(logits[i]) >= best) return static_cast<TokenId>(i);
    }
  }
  return 0;
}

void Sampler::collect_candidates(std::span<const float> logits, float least) {
  candidates_.clear();
  for (std::size_t block = 0; block < peaks_.size(); ++block) {
    if (peaks_[block] < least) continue;
    const std::size_t end = std::min((block + 1) * kBlock, logits.size());
    for (std::size_t i = block * kBlock; i < end; ++i) {
      const float logit = usable(logits[i]);
      if (logit >= least) candidates_.push_back({logit, static_cast<TokenId>(i)});
    }
  }
}

/// Leaves the candidates sorted, most likely first.
void Sampler::keep_top_k() {
  const auto likelier = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  };
  const auto k = static_cast<std::size_t>(options_.top_k);
  if (k > 0 && k < candidates_.size()) {
    std::nth_element(candidates_.begin(), candidates_.begin() + options_.top_k, candidates_.end(),
                     likelier);
    candidates_.resize(k);
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
