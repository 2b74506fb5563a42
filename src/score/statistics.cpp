#include "score/statistics.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/random.h"

namespace checkbit {
namespace {

/// The x in [low, high] where the increasing `function` passes `wanted`, to the last bit or so.
template <class Function>
double invert(Function function, double wanted, double low, double high) {
  for (int step = 0; step < 200; ++step) {
    const double middle = 0.5 * (low + high);
    if (middle == low || middle == high) break;
    (function(middle) < wanted ? low : high) = middle;
  }
  return 0.5 * (low + high);
}

/// For each statistic its values on the redraws of the windows.
std::vector<std::vector<double>> redraw(const BlockTable& table,
                                        std::span<const Statistic> statistics,
                                        const BootstrapOptions& options) {
  std::vector<std::vector<double>> values(statistics.size());
  for (auto& of_one : values) of_one.reserve(options.resamples);
  std::vector<double> sums(table.columns());
  for (std::size_t replicate = 0; replicate < options.resamples; ++replicate) {
    Random random(options.seed, replicate);
    std::fill(sums.begin(), sums.end(), 0.0);
    for (std::size_t draw = 0; draw < table.blocks(); ++draw) {
      const auto block = table.block(random.below(table.blocks()));
      for (std::size_t column = 0; column < sums.size(); ++column) sums[column] += block[column];
    }
    for (std::size_t i = 0; i < statistics.size(); ++i) values[i].push_back(statistics[i](sums));
  }
  return values;
}

/// BCa's acceleration: a sixth of the skewness of the statistic with one block left out.
double acceleration(const BlockTable& table, const Statistic& statistic) {
  const std::vector<double> totals = table.totals();
  std::vector<double> rest(totals.size());
  std::vector<double> left_out;
  left_out.reserve(table.blocks());
  double mean = 0;
  for (std::size_t i = 0; i < table.blocks(); ++i) {
    const auto block = table.block(i);
    for (std::size_t column = 0; column < rest.size(); ++column) {
      rest[column] = totals[column] - block[column];
    }
    left_out.push_back(statistic(rest));
    mean += left_out.back() / static_cast<double>(table.blocks());
  }
  double squares = 0;
  double cubes = 0;
  for (const double value : left_out) {
    const double difference = mean - value;
    squares += difference * difference;
    cubes += difference * difference * difference;
  }
  const double scale = 6 * std::pow(squares, 1.5);
  return scale > 0 && std::isfinite(cubes) ? cubes / scale : 0;
}

/// The range of n blocks holds the median with probability 1 - 2^(1 - n): 94 % of 5, 97 % of 6.
constexpr std::size_t kFewestBlocks = 6;

/// Linear between order statistics. Precondition: sorted, not empty.
double sorted_quantile(const std::vector<double>& sorted, double q) {
  const double position = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (position - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

/// z of the share of redraws below the estimate, ties counted half: BCa's correction of bias.
double bias_correction(const std::vector<double>& sorted, double estimate) {
  const auto [first, last] = std::equal_range(sorted.begin(), sorted.end(), estimate);
  const auto below = static_cast<double>(first - sorted.begin());
  const auto equal = static_cast<double>(last - first);
  const auto count = static_cast<double>(sorted.size());
  const double share = std::clamp((below + 0.5 * equal) / count, 0.5 / count, 1 - 0.5 / count);
  return normal_quantile(share);
}

/// From the values of the statistic on the redraws; none when one of them is not finite.
std::optional<Interval> bca_interval(const BlockTable& table, const Statistic& statistic,
                                     double estimate, std::vector<double> values,
                                     const BootstrapOptions& options) {
  const auto finite = [](double value) { return std::isfinite(value); };
  if (!finite(estimate) || !std::ranges::all_of(values, finite)) return std::nullopt;
  std::sort(values.begin(), values.end());

  const auto blocks = static_cast<double>(table.blocks());
  const double tail = 0.5 * (1 - options.confidence);
  const double reach =
      -student_quantile(tail, table.blocks() - 1) * std::sqrt(blocks / (blocks - 1));
  const double bias = bias_correction(values, estimate);
  const double bend = acceleration(table, statistic);
  const auto bound = [&](double z) {
    const double numerator = bias + z;
    // Beyond its pole (few blocks, long tails) the correction turns around: take the extreme.
    const double denominator = std::max(1 - bend * numerator, 1e-6);
    return sorted_quantile(values, normal_probability(bias + numerator / denominator));
  };
  return Interval{bound(-reach), bound(reach)};
}

}  // namespace

void BlockTable::add(std::span<const double> sums) {
  CB_CHECK(sums.size() == columns_);
  values_.insert(values_.end(), sums.begin(), sums.end());
}

std::vector<double> BlockTable::totals() const {
  std::vector<double> sums(columns_);
  for (std::size_t i = 0; i < values_.size(); ++i) sums[i % columns_] += values_[i];
  return sums;
}

std::vector<Estimate> bootstrap_intervals(const BlockTable& table,
                                          std::span<const Statistic> statistics,
                                          const BootstrapOptions& options) {
  CB_CHECK(table.blocks() > 0 && options.resamples > 0);
  CB_CHECK(options.confidence > 0 && options.confidence < 1);
  std::vector<Estimate> estimates;
  const std::vector<double> totals = table.totals();
  for (const Statistic& statistic : statistics) {
    estimates.push_back({statistic(totals), std::nullopt});
  }
  if (table.blocks() < kFewestBlocks) return estimates;
  auto values = redraw(table, statistics, options);
  for (std::size_t i = 0; i < statistics.size(); ++i) {
    estimates[i].interval =
        bca_interval(table, statistics[i], estimates[i].value, std::move(values[i]), options);
  }
  return estimates;
}

Estimate bootstrap_interval(const BlockTable& table, const Statistic& statistic,
                            const BootstrapOptions& options) {
  return bootstrap_intervals(table, std::span(&statistic, 1), options).front();
}

Interval wilson_interval(std::uint64_t hits, std::uint64_t trials, double confidence) {
  CB_CHECK(hits <= trials);
  if (trials == 0) return {0, 1};
  const auto n = static_cast<double>(trials);
  const double share = static_cast<double>(hits) / n;
  const double z = -normal_quantile(0.5 * (1 - confidence));
  const double scale = 1 + z * z / n;
  const double centre = (share + z * z / (2 * n)) / scale;
  const double half = z / scale * std::sqrt(share * (1 - share) / n + z * z / (4 * n * n));
  return {hits == 0 ? 0 : centre - half, hits == trials ? 1 : centre + half};
}

void Welford::add(double value) {
  count_ += 1;
  const double difference = value - mean_;
  mean_ += difference / static_cast<double>(count_);
  squares_ += difference * (value - mean_);
}

void Welford::merge(const Welford& other) {
  if (other.count_ == 0) return;
  const auto mine = static_cast<double>(count_);
  const auto theirs = static_cast<double>(other.count_);
  const double difference = other.mean_ - mean_;
  count_ += other.count_;
  mean_ += difference * theirs / (mine + theirs);
  squares_ += other.squares_ + difference * difference * mine * theirs / (mine + theirs);
}

double Welford::variance() const {
  return count_ < 2 ? 0 : squares_ / static_cast<double>(count_ - 1);
}

double Welford::standard_error() const {
  return count_ == 0 ? 0 : std::sqrt(variance() / static_cast<double>(count_));
}

double normal_probability(double x) { return 0.5 * std::erfc(-x * (0.5 * std::numbers::sqrt2)); }

double normal_quantile(double p) {
  CB_CHECK(p > 0 && p < 1);
  if (p > 0.5) return -normal_quantile(1 - p);  // the lower tail is the accurate one
  return invert(normal_probability, p, -40, 0);
}

double student_probability(double t, std::uint64_t degrees) {
  CB_CHECK(degrees > 0);
  // Abramowitz and Stegun 26.7.3 and 26.7.4: finite series in cos^2 of atan(t / sqrt(degrees)).
  const double angle = std::atan2(t, std::sqrt(static_cast<double>(degrees)));
  const double cosine = std::cos(angle);
  const bool odd = degrees % 2 == 1;
  double term = odd ? cosine : 1;
  double sum = degrees == 1 ? 0 : term;
  for (std::uint64_t k = odd ? 3 : 2; k + 2 <= degrees; k += 2) {
    term *= cosine * cosine * static_cast<double>(k - 1) / static_cast<double>(k);
    sum += term;
    if (term < 1e-18 * sum) break;
  }
  const double inside =
      odd ? (angle + std::sin(angle) * sum) * 2 * std::numbers::inv_pi : std::sin(angle) * sum;
  return 0.5 * (1 + inside);
}

double student_quantile(double p, std::uint64_t degrees) {
  CB_CHECK(p > 0 && p < 1);
  return invert([degrees](double t) { return student_probability(t, degrees); }, p, -1e6, 1e6);
}

}  // namespace checkbit
