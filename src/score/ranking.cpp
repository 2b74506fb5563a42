#include "score/ranking.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

namespace checkbit {
namespace {

/// Rank of each value from 1 on, ties sharing the mean of theirs.
std::vector<double> mid_ranks(std::span<const double> values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  for (std::size_t first = 0; first < order.size();) {
    std::size_t end = first + 1;
    while (end < order.size() && values[order[end]] == values[order[first]]) ++end;
    const double rank = 0.5 * static_cast<double>(first + end + 1);
    for (std::size_t i = first; i < end; ++i) ranks[order[i]] = rank;
    first = end;
  }
  return ranks;
}

/// The area, and per item the share of the other class that it stands in order with.
struct Components {
  double area = 0;
  std::vector<double> shares;
  std::size_t failures = 0;
  std::size_t successes = 0;
};

std::optional<Components> components_of(std::span<const double> scores,
                                        std::span<const std::uint8_t> failed) {
  CB_CHECK(scores.size() == failed.size());
  Components result;
  std::vector<double> of_class[2];
  for (std::size_t i = 0; i < scores.size(); ++i)
    of_class[failed[i] != 0 ? 1 : 0].push_back(scores[i]);
  result.failures = of_class[1].size();
  result.successes = of_class[0].size();
  if (result.failures == 0 || result.successes == 0) return std::nullopt;
  const std::vector<double> ranks = mid_ranks(scores);
  const std::vector<double> inner[2] = {mid_ranks(of_class[0]), mid_ranks(of_class[1])};
  std::size_t next[2] = {0, 0};
  result.shares.resize(scores.size());
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const int c = failed[i] != 0 ? 1 : 0;
    const double others_below = ranks[i] - inner[c][next[c]++];
    result.shares[i] = c == 1 ? others_below / static_cast<double>(result.successes)
                              : 1 - others_below / static_cast<double>(result.failures);
    if (c == 1) result.area += result.shares[i] / static_cast<double>(result.failures);
  }
  return result;
}

/// Student's t where blocks are few, the normal quantile where they are many.
double reach_of(double confidence, std::size_t units) {
  constexpr std::size_t kMany = 1000;
  const double tail = 0.5 * (1 - confidence);
  return units > kMany ? -normal_quantile(tail) : -student_quantile(tail, units - 1);
}

/// `influence`: what each item adds to area - E[area], already divided by the size of its class.
std::optional<double> half_width(std::span<const double> influence, const Components& components,
                                 const Outcomes& outcomes, double confidence) {
  constexpr std::size_t kFewestBlocks = 6;
  if (components.failures < 2 || components.successes < 2) return std::nullopt;
  const auto failures = static_cast<double>(components.failures);
  const auto successes = static_cast<double>(components.successes);
  if (outcomes.blocks.empty()) {  // DeLong: each class has a variance of its own
    double variance = 0;
    for (std::size_t i = 0; i < influence.size(); ++i) {
      const double n = outcomes.failed[i] != 0 ? failures : successes;
      variance += influence[i] * influence[i] * n / (n - 1);
    }
    return -normal_quantile(0.5 * (1 - confidence)) * std::sqrt(variance);
  }
  CB_CHECK(outcomes.blocks.size() == influence.size());
  std::map<std::uint32_t, double> sums;
  for (std::size_t i = 0; i < influence.size(); ++i) sums[outcomes.blocks[i]] += influence[i];
  if (sums.size() < kFewestBlocks) return std::nullopt;
  double squares = 0;
  for (const auto& [block, sum] : sums) squares += sum * sum;
  const auto blocks = static_cast<double>(sums.size());
  return reach_of(confidence, sums.size()) * std::sqrt(squares * blocks / (blocks - 1));
}

std::vector<double> influence_of(const Components& components,
                                 std::span<const std::uint8_t> failed) {
  std::vector<double> influence(failed.size());
  for (std::size_t i = 0; i < failed.size(); ++i) {
    const std::size_t n = failed[i] != 0 ? components.failures : components.successes;
    influence[i] = (components.shares[i] - components.area) / static_cast<double>(n);
  }
  return influence;
}

Estimate estimate_within(double value, std::optional<double> half, double low, double high) {
  Estimate estimate{value, std::nullopt};
  if (half) estimate.interval = {std::max(low, value - *half), std::min(high, value + *half)};
  return estimate;
}

std::size_t bin_of(double probability, std::size_t bins) {
  return std::min(static_cast<std::size_t>(probability * static_cast<double>(bins)), bins - 1);
}

}  // namespace

std::optional<Estimate> auc(std::span<const double> scores, const Outcomes& outcomes,
                            double confidence) {
  const auto components = components_of(scores, outcomes.failed);
  if (!components) return std::nullopt;
  const auto half =
      half_width(influence_of(*components, outcomes.failed), *components, outcomes, confidence);
  return estimate_within(components->area, half, 0, 1);
}

std::optional<Estimate> auc_difference(std::span<const double> first,
                                       std::span<const double> second, const Outcomes& outcomes,
                                       double confidence) {
  const auto a = components_of(first, outcomes.failed);
  const auto b = components_of(second, outcomes.failed);
  if (!a || !b) return std::nullopt;
  std::vector<double> influence = influence_of(*a, outcomes.failed);
  const std::vector<double> other = influence_of(*b, outcomes.failed);
  for (std::size_t i = 0; i < influence.size(); ++i) influence[i] -= other[i];
  return estimate_within(a->area - b->area, half_width(influence, *a, outcomes, confidence), -1, 1);
}

std::vector<CalibrationBin> calibration_bins(std::span<const double> probabilities,
                                             std::span<const std::uint8_t> failed,
                                             std::size_t bins) {
  CB_CHECK(probabilities.size() == failed.size() && bins > 0);
  std::vector<CalibrationBin> result(bins);
  for (std::size_t i = 0; i < failed.size(); ++i) {
    CB_CHECK(probabilities[i] >= 0 && probabilities[i] <= 1);
    CalibrationBin& bin = result[bin_of(probabilities[i], bins)];
    bin.items += 1;
    bin.predicted += probabilities[i];
    bin.observed += failed[i] != 0 ? 1 : 0;
  }
  for (CalibrationBin& bin : result) {
    const auto items = static_cast<double>(std::max<std::size_t>(bin.items, 1));
    bin.predicted /= items;
    bin.observed /= items;
  }
  return result;
}

Estimate calibration_error(std::span<const double> probabilities, const Outcomes& outcomes,
                           std::size_t bins, const BootstrapOptions& bootstrap) {
  CB_CHECK(!probabilities.empty() && probabilities.size() == outcomes.failed.size());
  CB_CHECK(outcomes.blocks.empty() || outcomes.blocks.size() == probabilities.size());
  // Columns: of each bin the sum of predicted - observed, then the items of all.
  std::map<std::uint32_t, std::vector<double>> blocks;
  for (std::size_t i = 0; i < probabilities.size(); ++i) {
    const auto own = static_cast<std::uint32_t>(i);
    auto& sums = blocks[outcomes.blocks.empty() ? own : outcomes.blocks[i]];
    sums.resize(bins + 1);
    sums[bin_of(probabilities[i], bins)] += probabilities[i] - (outcomes.failed[i] != 0 ? 1 : 0);
    sums[bins] += 1;
  }
  BlockTable table(bins + 1);
  for (const auto& [block, sums] : blocks) table.add(sums);
  const Statistic error = [bins](std::span<const double> sums) {
    double distance = 0;
    for (std::size_t b = 0; b < bins; ++b) distance += std::abs(sums[b]);
    return distance / sums[bins];
  };
  return bootstrap_interval(table, error, bootstrap);
}

IsotonicFit IsotonicFit::fit(std::span<const double> scores, std::span<const std::uint8_t> failed) {
  CB_CHECK(scores.size() == failed.size() && !scores.empty());
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, [&](std::size_t a, std::size_t b) { return scores[a] < scores[b]; });
  struct Pool {
    double first, last;  ///< scores
    double sum, items;
  };
  std::vector<Pool> pools;
  for (const std::size_t i : order) {
    const double value = failed[i] != 0 ? 1 : 0;
    if (!pools.empty() && pools.back().first == pools.back().last &&
        pools.back().last == scores[i]) {  // equal scores are one point
      pools.back().sum += value;
      pools.back().items += 1;
    } else {
      pools.push_back({scores[i], scores[i], value, 1});
    }
  }
  std::vector<Pool> merged;
  for (Pool pool : pools) {
    while (!merged.empty() && merged.back().sum * pool.items >= pool.sum * merged.back().items) {
      pool = {merged.back().first, pool.last, merged.back().sum + pool.sum,
              merged.back().items + pool.items};
      merged.pop_back();
    }
    merged.push_back(pool);
  }
  IsotonicFit result;
  for (const Pool& pool : merged) {
    for (const double score : {pool.first, pool.last}) {
      if (!result.scores_.empty() && result.scores_.back() == score) continue;
      result.scores_.push_back(score);
      result.values_.push_back(pool.sum / pool.items);
    }
  }
  return result;
}

double IsotonicFit::operator()(double score) const {
  const auto above = std::ranges::upper_bound(scores_, score);
  if (above == scores_.begin()) return values_.front();
  if (above == scores_.end()) return values_.back();
  const auto i = static_cast<std::size_t>(above - scores_.begin());
  const double share = (score - scores_[i - 1]) / (scores_[i] - scores_[i - 1]);
  return values_[i - 1] + share * (values_[i] - values_[i - 1]);
}

double correlation(std::span<const double> x, std::span<const double> y) {
  CB_CHECK(x.size() == y.size());
  if (x.empty()) return 0;
  const auto n = static_cast<double>(x.size());
  const double mean_x = std::accumulate(x.begin(), x.end(), 0.0) / n;
  const double mean_y = std::accumulate(y.begin(), y.end(), 0.0) / n;
  double xx = 0;
  double yy = 0;
  double xy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - mean_x) * (x[i] - mean_x);
    yy += (y[i] - mean_y) * (y[i] - mean_y);
    xy += (x[i] - mean_x) * (y[i] - mean_y);
  }
  return xx > 0 && yy > 0 ? xy / std::sqrt(xx * yy) : 0;
}

double rank_correlation(std::span<const double> x, std::span<const double> y) {
  return correlation(mid_ranks(x), mid_ranks(y));
}

}  // namespace checkbit
