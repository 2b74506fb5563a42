// The ten most likely tokens of a row of logits, and the rank of one.
//
// What: `find_top_tokens` goes over the row once and keeps the ten largest logits in order; nothing
//   is sorted. Of equal logits the one with the lower id counts as larger, everywhere.
// Values: NaN and -infinity are never among them, so a row may have fewer than ten.
// Threads: pure functions, nothing allocated.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace checkbit {

constexpr std::size_t kTopTokens = 10;

struct TopTokens {
  std::array<std::uint32_t, kTopTokens>
      ids{};  ///< most likely first; `count` of them mean something
  std::array<float, kTopTokens> logits{};
  std::size_t count = 0;
};

TopTokens find_top_tokens(std::span<const float> logits);

/// Of the reference's `k` most likely tokens, the share that is among the model's `k`: 1 when the
/// same. Precondition: 1 <= k <= kTopTokens and reference.count > 0.
double share_kept(const TopTokens& reference, const TopTokens& model, std::size_t k);

/// 1 for the most likely token, 2 for the next. `top`: what find_top_tokens gives for the row; a
/// token that is not in it costs another pass. Precondition: token < logits.size().
std::size_t rank_of(std::span<const float> logits, const TopTokens& top, std::size_t token);

}  // namespace checkbit
