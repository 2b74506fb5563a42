#include "quantize/rounding/metric.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace checkbit {
namespace {

/// Sorts the groups of the first width among columns [begin, end) of `order`, each inside likewise.
void sort_groups(std::span<const float> energy, std::span<const int> widths, std::span<int> order) {
  if (widths.empty()) return;
  const auto width = static_cast<std::size_t>(widths[0]);
  struct Group {
    double energy;
    std::size_t first;
  };
  std::vector<Group> groups;
  for (std::size_t at = 0; at < order.size(); at += width) {
    const std::size_t count = std::min(width, order.size() - at);
    sort_groups(energy, widths.subspan(1), order.subspan(at, count));
    double sum = 0;
    for (const int column : order.subspan(at, count))
      sum += energy[static_cast<std::size_t>(column)];
    groups.push_back({sum, at});
  }
  std::ranges::stable_sort(groups, {}, &Group::energy);
  std::vector<int> sorted;
  for (const Group& g : groups) {
    const auto group = order.subspan(g.first, std::min(width, order.size() - g.first));
    sorted.insert(sorted.end(), group.begin(), group.end());
  }
  std::ranges::copy(sorted, order.begin());
}

}  // namespace

std::size_t SecondMoments::floats(std::int64_t columns, std::int64_t block) {
  const std::int64_t whole = columns / block;
  const std::int64_t rest = columns - whole * block;
  return static_cast<std::size_t>(whole * block * block + rest * rest);
}

std::vector<double> SecondMoments::energies() const {
  std::vector<double> energy;
  double sum = 0;
  for (std::int64_t b = 0; b < blocks(); ++b) {
    for (std::int64_t i = 0; i < width(b); ++i) {
      energy.push_back(triangle(b)[i * width(b) + i]);
      sum += energy.back();
    }
  }
  const double mean = sum / static_cast<double>(energy.size());
  for (double& e : energy) e = mean > 0 ? e / mean : 1;
  return energy;
}

Result<Metric> make_metric(const SecondMoments& moments, std::int64_t b,
                           const MetricOptions& options, ThreadPool& pool) {
  const std::int64_t n = moments.width(b);
  const float* triangle = moments.triangle(b);
  std::vector<float> energy(static_cast<std::size_t>(n));
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    energy[static_cast<std::size_t>(i)] = triangle[i * n + i];
    sum += triangle[i * n + i];
  }
  if (!std::isfinite(sum)) {
    return fail(ErrorKind::corrupt,
                "the inputs measured on the calibration text are not finite; the model is damaged");
  }
  Metric metric;
  metric.first_column = moments.begin(b);
  metric.order.resize(static_cast<std::size_t>(n));
  std::iota(metric.order.begin(), metric.order.end(), 0);
  if (options.energy_order) {
    sort_groups(energy, options.groups, metric.order);
  } else {
    std::ranges::reverse(metric.order);  // the last position is rounded first
  }
  const double mean = sum > 0 ? sum / static_cast<double>(n) : 1;
  for (double damping = options.damping; damping < 10; damping *= 10) {
    metric.moments.resize(static_cast<std::size_t>(n * n));
    pool.for_ranges(n, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t from = metric.order[static_cast<std::size_t>(i)];
        float* row = metric.moments.data() + i * n;
        for (std::int64_t j = 0; j < n; ++j) {
          const std::int64_t to = metric.order[static_cast<std::size_t>(j)];
          row[j] = triangle[std::max(from, to) * n + std::min(from, to)];
        }
        row[i] += static_cast<float>(damping * mean);
      }
    });
    if (factorize(metric.moments, n, pool, metric.factor)) return metric;
  }
  return fail(ErrorKind::corrupt,
              "the second moments of a matrix's input have no factor even when damped; the "
              "calibration is damaged");
}

}  // namespace checkbit
