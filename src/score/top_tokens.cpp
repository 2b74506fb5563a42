#include "score/top_tokens.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/result.h"
#include "score/divergence.h"

namespace checkbit {
namespace {

// Most of a row lies below the tenth largest seen so far, so a block of logits is first asked for
// its largest. Compiler vectors, as in divergence.cpp.
constexpr std::size_t kBlock = 64;
constexpr std::size_t kWidth = 8;
using Floats = float __attribute__((vector_size(32)));

#define CB_INLINE [[gnu::always_inline]] inline

/// Whether a logit of the block lies above `bar`.
CB_INLINE bool any_above(const float* block, float bar) {
  Floats most = bar - Floats{};
  for (std::size_t i = 0; i < kBlock; i += kWidth) {
    Floats values;
    std::memcpy(&values, block + i, sizeof(values));
    most = values > most ? values : most;
  }
  bool above = false;
  for (std::size_t i = 0; i < kWidth; ++i) above |= most[i] > bar;
  return above;
}

/// Puts a logit in its place; the last falls out.
void insert(TopTokens& top, float logit, std::size_t id) {
  std::size_t at = std::min(top.count, kTopTokens - 1);
  for (; at > 0 && logit > top.logits[at - 1]; --at) {
    top.logits[at] = top.logits[at - 1];
    top.ids[at] = top.ids[at - 1];
  }
  top.logits[at] = logit;
  top.ids[at] = static_cast<std::uint32_t>(id);
  top.count = std::min(top.count + 1, kTopTokens);
}

void scan(std::span<const float> logits, std::size_t begin, std::size_t end, float& bar,
          TopTokens& top) {
  for (std::size_t i = begin; i < end; ++i) {
    if (!(logits[i] > bar)) continue;
    insert(top, logits[i], i);
    if (top.count == kTopTokens) bar = top.logits.back();
  }
}

CB_INLINE void top_body(std::span<const float> logits, TopTokens& top) {
  float bar = -std::numeric_limits<float>::infinity();
  std::size_t i = 0;
  for (; i + kBlock <= logits.size(); i += kBlock) {
    if (any_above(logits.data() + i, bar)) scan(logits, i, i + kBlock, bar, top);
  }
  scan(logits, i, logits.size(), bar, top);
}

void top_plain(std::span<const float> logits, TopTokens& top) { top_body(logits, top); }
#if defined(__x86_64__)
[[gnu::target("avx2")]] void top_wide(std::span<const float> logits, TopTokens& top) {
  top_body(logits, top);
}
#else
constexpr auto top_wide = top_plain;
#endif

}  // namespace

TopTokens find_top_tokens(std::span<const float> logits) {
  TopTokens top;
  (detail::wide_rows() ? top_wide : top_plain)(logits, top);
  return top;
}

double share_kept(const TopTokens& reference, const TopTokens& model, std::size_t k) {
  CB_CHECK(k >= 1 && k <= kTopTokens && reference.count > 0);
  const auto wanted = std::span(reference.ids).first(std::min(k, reference.count));
  const auto found = std::span(model.ids).first(std::min(k, model.count));
  const auto kept = std::ranges::count_if(
      wanted, [&](std::uint32_t id) { return std::ranges::find(found, id) != found.end(); });
  return static_cast<double>(kept) / static_cast<double>(wanted.size());
}

std::size_t rank_of(std::span<const float> logits, const TopTokens& top, std::size_t token) {
  CB_CHECK(token < logits.size());
  for (std::size_t i = 0; i < top.count; ++i) {
    if (top.ids[i] == token) return i + 1;
  }
  const float own = logits[token];
  std::size_t better = 0;
  for (const float logit : logits) better += logit > own ? 1 : 0;
  better += static_cast<std::size_t>(
      std::count(logits.begin(), logits.begin() + static_cast<std::ptrdiff_t>(token), own));
  return better + 1;
}

}  // namespace checkbit
