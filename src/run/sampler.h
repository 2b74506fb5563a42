// Choosing the next token from logits.
//
// What: a chain in this order: logit bias, repetition, presence and frequency penalties,
//   temperature (0: the most likely token), top-k, top-p, min-p, then one draw.
// Determinism: the same seed, position and logits give the same token on every machine; ties go to
//   the smaller id. Random numbers are counter-based: draw i of a seed needs no earlier draw.
// Errors: invalid options (by name).
// Reference: nucleus sampling (arXiv 1904.09751), min-p (2407.01082), repetition penalty
// (1909.05858),
//   Squares (2004.06278).
// Threads: one sampler per thread.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/result.h"
#include "run/tokenizer.h"

namespace checkbit {

struct SamplerOptions {
  float temperature = 0.8f;
  int top_k = 40;                   ///< 0: off
  float top_p = 0.95f;              ///< 1: off
  float min_p = 0.05f;              ///< 0: off
  float repetition_penalty = 1.0f;  ///< 1: off; divides positive and multiplies negative logits
  float presence_penalty = 0.0f;
  float frequency_penalty = 0.0f;
  int penalty_window = 64;  ///< tokens looked back on
  std::vector<std::pair<TokenId, float>> logit_bias;
  std::uint64_t seed = 0;
};

class Sampler {
 public:
  /// Errors: an option out of range.
  static Result<Sampler> create(const SamplerOptions& options, std::size_t vocabulary);

  /// `history`: prompt and generated tokens, newest last. `position` numbers the draw.
  TokenId sample(std::span<const float> logits, std::span<const TokenId> history,
                 std::uint64_t position);

 private:
  struct Candidate {
    float logit;
    TokenId id;
  };
  explicit Sampler(SamplerOptions options) : options_(std::move(options)) {}
  void apply_penalties(std::span<const TokenId> history);
  float find_peaks(std::span<const float> logits);
  TokenId first_of(std::span<const float> logits, float best) const;
  void collect_candidates(std::span<const float> logits, float least);
  void keep_top_k();
  void softmax();
  void keep_top_p();
  void keep_min_p();

  SamplerOptions options_;
  std::vector<float> adjusted_;
  std::vector<float> peaks_;  ///< of blocks of logits
  std::vector<Candidate> candidates_;
  std::vector<double> probabilities_;
};

}  // namespace checkbit
