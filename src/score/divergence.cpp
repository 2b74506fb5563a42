#include "score/divergence.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "base/result.h"

namespace checkbit {
namespace {

constexpr std::size_t kLanes = 8;
constexpr double kSmallestArgument = -708.0;  // exp(-708) is still a normal number

#define CB_INLINE [[gnu::always_inline]] inline

/// exp(x) for x <= 0, without branches. x = n log 2 + r with |r| <= log(2) / 2; exp(r) by the
/// Taylor series to r^13 (its remainder is below 2^-58), then times 2^n through the exponent bits.
CB_INLINE double exponential(double x) {
  constexpr double kLog2E = 1.4426950408889634;
  constexpr double kLog2High =
      0.693147180369123816490;  // the upper 33 bits of log 2: n * it is exact
  constexpr double kLog2Low = 1.90821492927058770002e-10;
  constexpr double kRounder = 0x1.8p52;  // adding it leaves the nearest integer in the low bits
  const double bounded = x < kSmallestArgument ? kSmallestArgument : x;
  const double shifted = bounded * kLog2E + kRounder;
  const double n = shifted - kRounder;
  const double r = (bounded - n * kLog2High) - n * kLog2Low;
  double series = 1.0 / 6227020800.0;
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
  const auto exponent = (std::bit_cast<std::uint64_t>(shifted) + 1023U) << 52;
  const double result = series * std::bit_cast<double>(exponent);
  return x < kSmallestArgument ? 0.0 : result;
}

/// What a pass over a pair of rows adds up, one entry for each lane.
struct LaneSums {
  double reference[kLanes] = {};
  double model[kLanes] = {};
  double weighted[kLanes] = {};
};

/// In a fixed order: the halves, the quarters, the pair.
double sum_lanes(const double (&lanes)[kLanes]) {
  return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) +
         ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

/// One element of both rows, relative to the rows' largest. Where the reference is impossible the
/// term is 0, also when the model's logit is -infinity there.
CB_INLINE void add_pair(double a, double b, double& reference, double& model, double& weighted) {
  const double p = exponential(a);
  reference += p;
  model += exponential(b);
  const double term = p * (a - b);
  weighted += p == 0.0 ? 0.0 : term;
}

CB_INLINE void pair_body(const float* reference, const float* model, std::size_t count,
                         double reference_max, double model_max, LaneSums& sums) {
  LaneSums local;
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      add_pair(static_cast<double>(reference[i + lane]) - reference_max,
               static_cast<double>(model[i + lane]) - model_max, local.reference[lane],
               local.model[lane], local.weighted[lane]);
    }
  }
  for (std::size_t lane = 0; i + lane < count; ++lane) {
    add_pair(static_cast<double>(reference[i + lane]) - reference_max,
             static_cast<double>(model[i + lane]) - model_max, local.reference[lane],
             local.model[lane], local.weighted[lane]);
  }
  sums = local;
}

CB_INLINE void single_body(const float* row, std::size_t count, double max, LaneSums& sums) {
  LaneSums local;
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      local.reference[lane] += exponential(static_cast<double>(row[i + lane]) - max);
    }
  }
  for (std::size_t lane = 0; i + lane < count; ++lane) {
    local.reference[lane] += exponential(static_cast<double>(row[i + lane]) - max);
  }
  sums = local;
}

void pair_plain(const float* reference, const float* model, std::size_t count, double reference_max,
                double model_max, LaneSums& sums) {
  pair_body(reference, model, count, reference_max, model_max, sums);
}
void single_plain(const float* row, std::size_t count, double max, LaneSums& sums) {
  single_body(row, count, max, sums);
}

#if defined(__x86_64__)
[[gnu::target("avx2")]] void pair_wide(const float* reference, const float* model,
                                       std::size_t count, double reference_max, double model_max,
                                       LaneSums& sums) {
  pair_body(reference, model, count, reference_max, model_max, sums);
}
[[gnu::target("avx2")]] void single_wide(const float* row, std::size_t count, double max,
                                         LaneSums& sums) {
  single_body(row, count, max, sums);
}
bool machine_is_wide() { return __builtin_cpu_supports("avx2") != 0; }
#else
constexpr auto pair_wide = pair_plain;
constexpr auto single_wide = single_plain;
bool machine_is_wide() { return false; }
#endif

std::atomic<bool> g_wide_wanted{true};

/// Largest value and its first index; `finite` is decided later from the sum, which a NaN poisons.
RowSummary find_top(std::span<const float> logits) {
  float lanes[kLanes];
  std::fill(std::begin(lanes), std::end(lanes), -std::numeric_limits<float>::infinity());
  std::size_t i = 0;
  for (; i + kLanes <= logits.size(); i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const float value = logits[i + lane];
      lanes[lane] = value > lanes[lane] ? value : lanes[lane];
    }
  }
  float max = *std::max_element(std::begin(lanes), std::end(lanes));
  for (; i < logits.size(); ++i) max = logits[i] > max ? logits[i] : max;
  const auto found = std::find(logits.begin(), logits.end(), max);
  RowSummary row;
  row.max = static_cast<double>(max);
  row.top = found == logits.end() ? 0 : static_cast<std::size_t>(found - logits.begin());
  return row;
}

void finish(RowSummary& row, double sum) {
  row.log_sum = std::log(sum);
  row.finite = std::isfinite(row.max) && std::isfinite(row.log_sum);
}

}  // namespace

RowSummary summarize_row(std::span<const float> logits) {
  CB_CHECK(!logits.empty());
  RowSummary row = find_top(logits);
  LaneSums sums;
  const auto run = detail::wide_rows() ? single_wide : single_plain;
  run(logits.data(), logits.size(), row.max, sums);
  finish(row, sum_lanes(sums.reference));
  return row;
}

double log_probability(std::span<const float> logits, const RowSummary& row, std::size_t token) {
  CB_CHECK(token < logits.size());
  return std::min(0.0, (static_cast<double>(logits[token]) - row.max) - row.log_sum);
}

RowComparison compare_rows(std::span<const float> reference, std::span<const float> model) {
  CB_CHECK(!reference.empty() && reference.size() == model.size());
  RowComparison result;
  result.reference = find_top(reference);
  result.model = find_top(model);
  LaneSums sums;
  const auto run = detail::wide_rows() ? pair_wide : pair_plain;
  run(reference.data(), model.data(), reference.size(), result.reference.max, result.model.max,
      sums);
  const double reference_sum = sum_lanes(sums.reference);
  finish(result.reference, reference_sum);
  finish(result.model, sum_lanes(sums.model));
  // sum p (a - A) - (b - B) with p = exp(a) / S: rounding may leave it a hair below 0.
  const double divergence =
      sum_lanes(sums.weighted) / reference_sum - (result.reference.log_sum - result.model.log_sum);
  result.kl_divergence = divergence < 0 ? 0 : divergence;
  return result;
}

namespace detail {

double exp_nonpositive(double x) { return exponential(x); }
bool wide_rows() { return g_wide_wanted.load(std::memory_order_relaxed) && machine_is_wide(); }
void set_wide_rows(bool wanted) { g_wide_wanted.store(wanted, std::memory_order_relaxed); }

}  // namespace detail
}  // namespace checkbit
