#include "score/confidence_sequence.h"

#include <algorithm>
#include <cmath>

namespace checkbit {
namespace {

/// Where the interval is tightest for an unlimited source.
constexpr double kUsualTime = 256;

}  // namespace

ConfidenceSequence::ConfidenceSequence(const ConfidenceSequenceOptions& options)
    : options_(options) {
  CB_CHECK(options.confidence > 0 && options.confidence < 1 && options.fewest >= 2);
  // The paper's closed form of the best r for one time. A population's own size is the time that
  // half of it counts for.
  const double time = options.population > 0 ? static_cast<double>(options.population) : kUsualTime;
  const double twice_log = -2 * std::log(1 - options.confidence);
  normal_quantile_ = normal_quantile(0.5 * (1 - options.confidence));
  tuning_ = (twice_log + std::log(twice_log) + 1) / time;
}

void ConfidenceSequence::add(double value) {
  CB_CHECK(options_.population == 0 || count() < options_.population);
  values_.add(value);
}

std::optional<double> ConfidenceSequence::half_width() const {
  const std::uint64_t population = options_.population;
  if (population > 0 && count() == population) return 0.0;
  if (count() < options_.fewest) return std::nullopt;
  auto time = static_cast<double>(count());
  if (population > 0) {
    if (population < 2 * options_.fewest) return std::nullopt;
    // The sum of a few values that are left is no more normal than that of a few that were seen.
    const std::uint64_t seen = std::min(count(), population - options_.fewest);
    const auto t = static_cast<double>(seen);
    const auto all = static_cast<double>(population);
    time = t * all / (all - t);
  }
  const double growth = time * tuning_ + 1;
  const double alpha = 1 - options_.confidence;
  // A Student t's quantile over a normal's, to first order in 1 / degrees of freedom.
  const double widening =
      1 + (normal_quantile_ * normal_quantile_ + 1) / (4 * static_cast<double>(count() - 1));
  return widening * std::sqrt(values_.variance() * 2 * growth / (time * time * tuning_) *
                              std::log(std::sqrt(growth) / alpha));
}

}  // namespace checkbit
