#include "score/noisy_search.h"

#include <algorithm>
#include <cmath>

namespace checkbit {
namespace {

double entropy_bits(double p) { return -p * std::log2(p) - (1 - p) * std::log2(1 - p); }

/// 2 to the slope of the entropy between the two chances.
double entropy_slope(double target, double slack) {
  return std::exp2((entropy_bits(target - slack) - entropy_bits(target + slack)) / (2 * slack));
}

/// The posterior over gaps 0 .. n, and the flip that tells most.
class GapPosterior {
 public:
  GapPosterior(std::size_t coins, double target, double slack)
      : weights_(coins + 1, 1.0 / static_cast<double>(coins + 1)),
        low_(target - slack),
        high_(target + slack) {
    const double z = entropy_slope(target, slack);
    quantile_ = (1 - low_ - 1 / (1 + z)) / (2 * slack);
  }

  /// The coin at the quantile of the posterior that the channel likes best.
  std::size_t best_coin() const {
    double below = 0;
    for (std::size_t gap = 0; gap < weights_.size(); ++gap) {
      if (below + weights_[gap] < quantile_ && gap + 1 < weights_.size()) {
        below += weights_[gap];
        continue;
      }
      // The quantile falls inside this gap: take the coin whose side is nearer.
      const bool left = quantile_ - below <= below + weights_[gap] - quantile_;
      const std::size_t coin = left ? gap : gap + 1;  // coin i - 1 is on the left of gap i
      return std::clamp<std::size_t>(coin, 1, weights_.size() - 1) - 1;
    }
    return 0;
  }

  /// A head of coin c speaks for crossings at or before it: gaps 0 .. c.
  void update(std::size_t coin, bool heads) {
    const double before = heads ? high_ : 1 - high_;  // likelihood for gaps up to the coin
    const double after = heads ? low_ : 1 - low_;
    double sum = 0;
    for (std::size_t gap = 0; gap < weights_.size(); ++gap) {
      weights_[gap] *= gap <= coin ? before : after;
      sum += weights_[gap];
    }
    for (double& weight : weights_) weight /= sum;
  }

  std::size_t likeliest() const {
    return static_cast<std::size_t>(std::ranges::max_element(weights_) - weights_.begin());
  }

 private:
  std::vector<double> weights_;
  double low_;
  double high_;
  double quantile_;
};

class Search {
 public:
  Search(std::size_t coins, const CoinFlip& flip, const NoisySearchOptions& options)
      : coins_(coins), flip_(flip), options_(options) {
    result_.tallies.resize(coins);
    sides_.resize(coins, Side::unknown);
  }

  Result<NoisySearchResult> run() {
    GapPosterior posterior(coins_, options_.target, options_.slack);
    const double gaps = static_cast<double>(coins_ + 1);
    const auto flips = static_cast<std::size_t>(
        std::ceil(std::log2(gaps) / search_capacity(options_.target, options_.slack)));
    for (std::size_t i = 0; i < flips; ++i) {
      const std::size_t coin = posterior.best_coin();
      CB_TRY(const bool heads, flip(coin));
      posterior.update(coin, heads);
    }
    CB_TRY(result_.gap, confirm(posterior.likeliest()));
    return result_;
  }

 private:
  enum class Side { unknown, below, above };

  Result<bool> flip(std::size_t coin) {
    if (result_.flips == options_.max_flips) {
      return fail(ErrorKind::budget, "{} trials did not decide where the chance passes {}",
                  options_.max_flips, options_.target);
    }
    CB_TRY(const bool heads, flip_(coin));
    result_.flips += 1;
    result_.tallies[coin].flips += 1;
    result_.tallies[coin].heads += heads ? 1 : 0;
    return heads;
  }

  /// Wald's test of target - slack against target + slack; each coin is tested once.
  Result<Side> side_of(std::size_t coin) {
    if (sides_[coin] != Side::unknown) return sides_[coin];
    const double low = options_.target - options_.slack;
    const double high = options_.target + options_.slack;
    // At most two coins a step, steps doubling outwards and halving inwards again.
    const double tests = 4 * std::log2(static_cast<double>(coins_) + 1) + 4;
    const double bar = std::log(tests / options_.failure);
    double evidence = 0;
    while (std::abs(evidence) < bar) {
      CB_TRY(const bool heads, flip(coin));
      evidence += heads ? std::log(high / low) : std::log((1 - high) / (1 - low));
    }
    sides_[coin] = evidence > 0 ? Side::above : Side::below;
    return sides_[coin];
  }

  /// A gap whose left coin tests below and whose right coin tests above.
  Result<std::size_t> confirm(std::size_t gap) {
    std::size_t left = 0;        // coins before it are below; 0: the made-up coin of chance 0
    std::size_t right = coins_;  // this coin is above; coins_: the made-up one of chance 1
    std::size_t step = 1;
    // Invariant: the answer lies in left .. right. Probes move out from `gap` in doubling steps.
    std::size_t at = gap;
    while (left < right) {
      if (at > left) {  // is coin at - 1 below?
        CB_TRY(const Side side, side_of(at - 1));
        if (side == Side::below) {
          left = at;
        } else {
          right = at - 1;
          at = at > left + step ? at - step : left;
          step *= 2;
          at = std::clamp(at, left, right);
          continue;
        }
      }
      if (left == right) break;
      const std::size_t probe = std::min(at, right - 1);
      CB_TRY(const Side side, side_of(probe));
      if (side == Side::above) {
        right = probe;
        at = left + (right - left) / 2;
      } else {
        left = probe + 1;
        at = std::min(right, left + step);
        step *= 2;
      }
    }
    return left;
  }

  std::size_t coins_;
  const CoinFlip& flip_;
  const NoisySearchOptions& options_;
  NoisySearchResult result_;
  std::vector<Side> sides_;
};

}  // namespace

double search_capacity(double target, double slack) {
  const double low = target - slack;
  const double high = target + slack;
  return std::log2(1 + entropy_slope(target, slack)) + low * entropy_bits(high) / (2 * slack) -
         high * entropy_bits(low) / (2 * slack);
}

Result<NoisySearchResult> noisy_search(std::size_t coins, const CoinFlip& flip,
                                       const NoisySearchOptions& options) {
  CB_CHECK(coins > 0 && options.slack > 0 && options.slack < options.target &&
           options.slack < 1 - options.target && options.failure > 0 && options.failure < 1);
  return Search(coins, flip, options).run();
}

}  // namespace checkbit
