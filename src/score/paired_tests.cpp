#include "score/paired_tests.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace checkbit {
namespace {

struct Tail {
  double below = 0;  ///< P(X < k)
  double at = 0;     ///< P(X = k)
};

/// Of k heads in n tosses of a fair coin, k <= n / 2. Sums from k down, where terms shrink.
Tail fair_tail(std::uint64_t k, std::uint64_t n) {
  const auto heads = static_cast<double>(k);
  const auto tosses = static_cast<double>(n);
  const double log_at = std::lgamma(tosses + 1) - std::lgamma(heads + 1) -
                        std::lgamma(tosses - heads + 1) - tosses * std::numbers::ln2;
  Tail tail{0, std::exp(log_at)};
  double term = tail.at;
  for (std::uint64_t i = k; i > 0; --i) {
    term *= static_cast<double>(i) / static_cast<double>(n - i + 1);
    if (term < tail.below * 1e-18) break;
    tail.below += term;
  }
  return tail;
}

}  // namespace

double sign_test(std::uint64_t plus, std::uint64_t minus) {
  return mcnemar_test(plus, minus).exact_p;
}

McNemar mcnemar_test(std::uint64_t only_first, std::uint64_t only_second) {
  const std::uint64_t tosses = only_first + only_second;
  if (tosses == 0) return {};
  const Tail tail = fair_tail(std::min(only_first, only_second), tosses);
  if (only_first == only_second) return {1, 1 - 0.5 * tail.at};
  return {std::min(1.0, 2 * (tail.below + tail.at)), std::min(1.0, 2 * tail.below + tail.at)};
}

Interval paired_difference_interval(std::uint64_t only_first, std::uint64_t only_second,
                                    std::uint64_t items, double confidence) {
  CB_CHECK(only_first + only_second <= items);
  if (items == 0) return {-1, 1};
  const double count = static_cast<double>(items) + 2;
  const double first = (static_cast<double>(only_first) + 1) / count;
  const double second = (static_cast<double>(only_second) + 1) / count;
  const double difference = first - second;
  const double reach = normal_quantile(0.5 + 0.5 * confidence) *
                       std::sqrt((first + second - difference * difference) / count);
  return {std::max(-1.0, difference - reach), std::min(1.0, difference + reach)};
}

}  // namespace checkbit
