// For benchmarks that compare two ways to run a model: both in one process over one copy of the
// weights, turn by turn, so that what changes on the machine meets both.
//
// What: a cost is the median over rounds of one's seconds / the other's - 1 with its 95 % interval.
//   Three passes: a part of a prompt; tokens one at a time at the start of a context, where weights
//   count most; and at its end, where keys and values count too. CHECKBIT_PAIR_SECONDS is the time
//   for each figure (10).
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "run/session.h"

namespace checkbit {

inline constexpr std::int64_t kPromptTokens = 256;
inline constexpr std::int64_t kGenerated = 4;
inline constexpr std::int64_t kDeep = 4096;

inline double seconds(auto&& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// One way to run a model.
struct Side {
  Executor executor;
  KvCache cache;
  std::vector<float> logits;  ///< of the last token

  static Result<Side> create(Session& session, const Kernels& kernels,
                             GuardLevel guard = GuardLevel::off) {
    CB_TRY(Executor executor,
           Executor::create(session.model(), kernels, session.pool(), kPromptTokens, 1, guard));
    CB_TRY(KvCache cache, KvCache::create(session.model().hyperparameters(), kDeep));
    Side side{std::move(executor), std::move(cache), {}};
    // A deep context need not mean anything, only be there: small numbers of binary16.
    constexpr int kSmall = 0x29;
    std::memset(side.cache.keys(0, 0), kSmall,
                KvCache::bytes_for(session.model().hyperparameters(), kDeep, side.cache.type()));
    side.deepen();
    return side;
  }
  /// To the end of the context.
  void deepen() { cache.extend(kDeep - cache.length()); }
  void pass(std::int64_t position, std::int64_t tokens) {
    std::vector<BatchToken> batch;
    for (std::int64_t i = 0; i < tokens; ++i) {
      batch.push_back(
          {&cache, static_cast<std::int32_t>((position + i) * 37 % 251 + 3), i + 1 == tokens});
    }
    const auto row = executor.evaluate(batch);
    CB_CHECK(row.ok());
    logits.assign(row->row(0).begin(), row->row(0).end());
  }
  double prompt() {
    cache.truncate(0);
    return seconds([&] { pass(0, kPromptTokens); });
  }
  /// Precondition: the cache reaches there; it does when generation at the end comes first.
  double generate(std::int64_t position) {
    cache.truncate(position);
    return seconds([&] {
      for (std::int64_t i = 0; i < kGenerated; ++i) pass(position + i, 1);
    });
  }
};

/// Middle of the values and its 95 % interval, between two of them in order.
struct Median {
  double value, low, high;
  explicit Median(std::vector<double> values) {
    std::ranges::sort(values);
    const std::size_t n = values.size();
    const double half = static_cast<double>(n) / 2;
    const auto rank =
        static_cast<std::size_t>(std::max(1.0, half - 1.96 * std::sqrt(half / 2))) - 1;
    value = (values[(n - 1) / 2] + values[n / 2]) / 2;
    low = values[rank];
    high = values[n - 1 - rank];
  }
};

inline double enough_seconds() {
  const char* text = std::getenv("CHECKBIT_PAIR_SECONDS");
  return text == nullptr ? 10 : std::atof(text);
}

/// One line of the table, and the cost in percent. `measure` gives the seconds of a pass of a side.
inline double compare(Side& one, Side& other, const char* what, std::int64_t tokens,
                      auto&& measure) {
  constexpr std::size_t kLeastRounds = 6;  // fewer have no interval
  measure(one);
  measure(other);
  std::vector<double> costs, one_speeds, other_speeds;
  double spent = 0;
  while (spent < enough_seconds() || costs.size() < kLeastRounds) {
    const bool one_first = costs.size() % 2 == 0;
    double first = measure(one_first ? one : other);
    double second = measure(one_first ? other : one);
    if (!one_first) std::swap(first, second);
    spent += first + second;
    costs.push_back(100 * (first / second - 1));
    one_speeds.push_back(static_cast<double>(tokens) / first);
    other_speeds.push_back(static_cast<double>(tokens) / second);
  }
  const Median cost(costs);
  std::printf("  %-34s %9.1f %9.1f  %+6.2f %% (%+.2f to %+.2f), %zu pairs\n", what,
              Median(one_speeds).value, Median(other_speeds).value, cost.value, cost.low, cost.high,
              costs.size());
  std::fflush(stdout);
  return cost.value;
}

/// Percent.
struct PassCosts {
  double deep_generation, generation, prompt;
};

/// All lines of the table.
inline PassCosts compare_passes(Side& one, Side& other) {
  one.deepen();
  other.deepen();
  PassCosts costs{};
  costs.deep_generation = compare(one, other, "generation at 4,096 tokens", kGenerated,
                                  [](Side& side) { return side.generate(kDeep - kGenerated); });
  costs.generation = compare(one, other, "generation", kGenerated,
                             [](Side& side) { return side.generate(kPromptTokens); });
  costs.prompt =
      compare(one, other, "prompt of 256", kPromptTokens, [](Side& side) { return side.prompt(); });
  return costs;
}

}  // namespace checkbit
