#include "score/divergence.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "base/result.h"

namespace checkbit {
namespace {

constexpr std::size_t kLanes = 8;
constexpr double kSmallestArgument = -708.0;  // exp(-708) is still a normal number

// Half of the lanes as a compiler vector: one source for every instruction set, cut to the width at
// hand. They pass by reference, because by value their ABI would differ between instruction sets.
constexpr std::size_t kHalf = kLanes / 2;
using Doubles = double __attribute__((vector_size(32)));
using Words = std::uint64_t __attribute__((vector_size(32)));
using Floats = float __attribute__((vector_size(16)));

#define CB_INLINE [[gnu::always_inline]] inline

/// exp(x) for x <= 0, without branches. x = n log 2 + r with |r| <= log(2) / 2; exp(r) by the
/// Taylor series to r^13 (its remainder is below 2^-57), then times 2^n through the exponent bits.
CB_INLINE void exponential(const Doubles& x, Doubles& result) {
  constexpr double kLog2E = 1.4426950408889634;
  constexpr double kLog2High = 0.693147180369123816490;  // upper 33 bits of log 2: n * it is exact
  constexpr double kLog2Low = 1.90821492927058770002e-10;
  constexpr double kRounder = 0x1.8p52;  // adding it leaves the nearest integer in the low bits
  const Doubles smallest = kSmallestArgument - Doubles{};
  const Doubles bounded = x < smallest ? smallest : x;
  const Doubles shifted = bounded * kLog2E + kRounder;
  const Doubles n = shifted - kRounder;
  const Doubles r = (bounded - n * kLog2High) - n * kLog2Low;
  Doubles series = 1.0 / 6227020800.0 - Doubles{};
  series = series * r + 1.0 / 479001600.0;
  series = series * r + 1.0 / 39916800.0;
  series = series * r + 1.0 / 3628800.0;
  series = series * r + 1.0 / 362880.0;
  series = series * r + 1.0 / 40320.0;
  series = series * r + 1.0 / 5040.0;
  series = series * r + 1.0 / 720.0;
  series = series * r + 1.0 / 120.0;
  series = series * r + 1.0 / 24.0;
  series = series * r + 1.0 / 6.0;
  series = series * r + 0.5;
  series = series * r + 1.0;
  series = series * r + 1.0;
  const Words exponent = (reinterpret_cast<Words>(shifted) + 1023U) << 52U;
  result = x < smallest ? Doubles{} : series * reinterpret_cast<Doubles>(exponent);
}

/// Four logits relative to the row's largest.
CB_INLINE void load(const float* logits, double max, Doubles& values) {
  Floats narrow;
  std::memcpy(&narrow, logits, sizeof(narrow));
  values = __builtin_convertvector(narrow, Doubles) - max;
}

/// The last logits, fewer than eight, filled up with -infinity: that adds nothing to any sum.
struct Rest {
  float values[kLanes];
  Rest(const float* logits, std::size_t count) {
    std::fill(std::begin(values), std::end(values), -std::numeric_limits<float>::infinity());
    std::copy(logits, logits + count, values);
  }
};

/// What a pass over a pair of rows adds up: lanes 0 to 3, lanes 4 to 7.
struct LaneSums {
  Doubles reference[2] = {};
  Doubles model[2] = {};
  Doubles weighted[2] = {};
  Doubles reference_logs[2] = {};  ///< of p log p, up to the normaliser
  Doubles model_logs[2] = {};
};

/// In a fixed order: the halves, the quarters, the pair.
double sum_lanes(const Doubles (&lanes)[2]) {
  const Doubles both = lanes[0] + lanes[1];
  return (both[0] + both[2]) + (both[1] + both[3]);
}

/// x times its weight; 0 where that is 0, also for x = -infinity.
CB_INLINE void add_weighted(const Doubles& weight, const Doubles& x, Doubles& sum) {
  const Doubles term = weight * x;
  sum += weight == Doubles{} ? Doubles{} : term;
}

/// Eight elements of both rows. Where the reference is impossible the weighted term is 0, also when
/// the model's logit is -infinity there.
CB_INLINE void add_pair(const float* reference, const float* model, double reference_max,
                        double model_max, LaneSums& sums) {
  for (std::size_t half = 0; half < 2; ++half) {
    Doubles a;
    Doubles b;
    Doubles p;
    Doubles q;
    load(reference + half * kHalf, reference_max, a);
    load(model + half * kHalf, model_max, b);
    exponential(a, p);
    exponential(b, q);
    const Doubles difference = a - b;
    sums.reference[half] += p;
    sums.model[half] += q;
    add_weighted(p, difference, sums.weighted[half]);
    add_weighted(p, a, sums.reference_logs[half]);
    add_weighted(q, b, sums.model_logs[half]);
  }
}

CB_INLINE void pair_body(const float* reference, const float* model, std::size_t count,
                         double reference_max, double model_max, LaneSums& result) {
  LaneSums sums;
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    add_pair(reference + i, model + i, reference_max, model_max, sums);
  }
  if (i < count) {
    const Rest reference_rest(reference + i, count - i);
    const Rest model_rest(model + i, count - i);
    add_pair(reference_rest.values, model_rest.values, reference_max, model_max, sums);
  }
  result = sums;
}

template <bool kEntropy>
CB_INLINE void add_single(const float* row, double max, LaneSums& sums) {
  for (std::size_t half = 0; half < 2; ++half) {
    Doubles x;
    Doubles p;
    load(row + half * kHalf, max, x);
    exponential(x, p);
    sums.reference[half] += p;
    if constexpr (kEntropy) add_weighted(p, x, sums.reference_logs[half]);
  }
}

template <bool kEntropy>
CB_INLINE void single_body(const float* row, std::size_t count, double max, LaneSums& result) {
  LaneSums sums;
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) add_single<kEntropy>(row + i, max, sums);
  if (i < count) add_single<kEntropy>(Rest(row + i, count - i).values, max, sums);
  result = sums;
}

void pair_plain(const float* reference, const float* model, std::size_t count, double reference_max,
                double model_max, LaneSums& sums) {
  pair_body(reference, model, count, reference_max, model_max, sums);
}
template <bool kEntropy>
void single_plain(const float* row, std::size_t count, double max, LaneSums& sums) {
  single_body<kEntropy>(row, count, max, sums);
}

#if defined(__x86_64__)
[[gnu::target("avx2")]] void pair_wide(const float* reference, const float* model,
                                       std::size_t count, double reference_max, double model_max,
                                       LaneSums& sums) {
  pair_body(reference, model, count, reference_max, model_max, sums);
}
template <bool kEntropy>
[[gnu::target("avx2")]] void single_wide(const float* row, std::size_t count, double max,
                                         LaneSums& sums) {
  single_body<kEntropy>(row, count, max, sums);
}
bool machine_is_wide() { return __builtin_cpu_supports("avx2") != 0; }
#else
constexpr auto pair_wide = pair_plain;
template <bool kEntropy>
constexpr auto single_wide = single_plain<kEntropy>;
bool machine_is_wide() { return false; }
#endif

std::atomic<bool> g_wide_wanted{true};

/// Largest value and its first index; `finite` is decided later from the sum, which a NaN poisons.
RowSummary top_of(const TopTokens& top) {
  RowSummary row;
  row.max =
      top.count > 0 ? static_cast<double>(top.logits[0]) : -std::numeric_limits<double>::infinity();
  row.top = top.count > 0 ? top.ids[0] : 0;
  return row;
}

void finish(RowSummary& row, double sum, double logs) {
  row.log_sum = std::log(sum);
  row.entropy = std::max(0.0, row.log_sum - logs / sum);
  row.finite = std::isfinite(row.max) && std::isfinite(row.log_sum);
}

template <bool kEntropy>
RowSummary summarize(std::span<const float> logits) {
  CB_CHECK(!logits.empty());
  RowSummary row = top_of(find_top_tokens(logits));
  LaneSums sums;
  const auto run = detail::wide_rows() ? single_wide<kEntropy> : single_plain<kEntropy>;
  run(logits.data(), logits.size(), row.max, sums);
  finish(row, sum_lanes(sums.reference), sum_lanes(sums.reference_logs));
  if constexpr (!kEntropy) row.entropy = 0;
  return row;
}

}  // namespace

RowSummary summarize_row(std::span<const float> logits) { return summarize<true>(logits); }
RowSummary sum_row(std::span<const float> logits) { return summarize<false>(logits); }

double log_probability(std::span<const float> logits, const RowSummary& row, std::size_t token) {
  CB_CHECK(token < logits.size());
  return std::min(0.0, (static_cast<double>(logits[token]) - row.max) - row.log_sum);
}

RowComparison compare_rows(std::span<const float> reference, const TopTokens& reference_top,
                           std::span<const float> model, const TopTokens& model_top) {
  CB_CHECK(!reference.empty() && reference.size() == model.size());
  RowComparison result;
  result.reference = top_of(reference_top);
  result.model = top_of(model_top);
  LaneSums sums;
  const auto run = detail::wide_rows() ? pair_wide : pair_plain;
  run(reference.data(), model.data(), reference.size(), result.reference.max, result.model.max,
      sums);
  const double reference_sum = sum_lanes(sums.reference);
  finish(result.reference, reference_sum, sum_lanes(sums.reference_logs));
  finish(result.model, sum_lanes(sums.model), sum_lanes(sums.model_logs));
  // sum p (a - A) - (b - B) with p = exp(a) / S: rounding may leave it a hair below 0.
  const double divergence =
      sum_lanes(sums.weighted) / reference_sum - (result.reference.log_sum - result.model.log_sum);
  result.kl_divergence = divergence < 0 ? 0 : divergence;
  return result;
}

RowComparison compare_rows(std::span<const float> reference, std::span<const float> model) {
  return compare_rows(reference, find_top_tokens(reference), model, find_top_tokens(model));
}

namespace detail {

double exp_nonpositive(double x) {
  const Doubles lanes = x - Doubles{};
  Doubles result;
  exponential(lanes, result);
  return result[0];
}
bool wide_rows() { return g_wide_wanted.load(std::memory_order_relaxed) && machine_is_wide(); }
void set_wide_rows(bool wanted) { g_wide_wanted.store(wanted, std::memory_order_relaxed); }

}  // namespace detail
}  // namespace checkbit
