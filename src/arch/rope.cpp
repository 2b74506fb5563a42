#include "arch/rope.h"

#include <algorithm>
#include <cmath>

#include "base/canonical_math.h"

namespace checkbit {
namespace {

constexpr double kPi = 3.14159265358979323846;

/// The pair whose wavelength makes `rotations` turns over the original context (YaRN, equation 17).
double correction_pair(const RopeParameters& p, double rotations) {
  return p.dimensions * canonical_log(p.original_context / (rotations * 2 * kPi)) /
         (2 * canonical_log(p.frequency_base));
}

/// 1: keep the frequency (extrapolate), 0: divide it by the factor (interpolate).
double yarn_keep(const RopeParameters& p, std::int64_t pair) {
  const double low = std::max(0.0, std::floor(correction_pair(p, p.beta_fast)));
  const double high = std::min(p.dimensions - 1.0, std::ceil(correction_pair(p, p.beta_slow)));
  const double ramp = (static_cast<double>(pair) - low) / std::max(0.001, high - low);
  return 1.0 - std::clamp(ramp, 0.0, 1.0);
}

}  // namespace

Rope::Rope(const RopeParameters& p, const float* factors)
    : frequencies_(static_cast<std::size_t>(p.dimensions / 2)) {
  for (std::size_t i = 0; i < frequencies_.size(); ++i) {
    double frequency =
        canonical_pow(p.frequency_base, -2.0 * static_cast<double>(i) / p.dimensions);
    if (factors != nullptr) frequency /= factors[i];
    if (p.yarn) {
      const double keep = yarn_keep(p, static_cast<std::int64_t>(i));
      frequency = frequency / p.yarn_factor * (1.0 - keep) + frequency * keep;
    }
    frequencies_[i] = frequency / p.linear_factor;
  }
  amplitude_ = p.attention_factor;
  if (p.yarn) amplitude_ *= 1.0 + 0.1 * canonical_log(p.yarn_factor);
}

bool Rope::usable() const {
  constexpr double kLargestFrequency =
      1e6;  // times 2^30 positions: angles that canonical_sincos takes
  return std::isfinite(amplitude_) && std::ranges::all_of(frequencies_, [](double f) {
           return std::abs(f) <= kLargestFrequency;
         });
}

void Rope::table(std::int64_t position, float* cosines, float* sines) const {
  for (std::size_t i = 0; i < frequencies_.size(); ++i) {
    double sine = 0;
    double cosine = 0;
    canonical_sincos(static_cast<double>(position) * frequencies_[i], sine, cosine);
    cosines[i] = static_cast<float>(cosine * amplitude_);
    sines[i] = static_cast<float>(sine * amplitude_);
  }
}

void rotate(float* head, std::int64_t pairs, RopePairing pairing, const float* cosines,
            const float* sines) {
  const std::int64_t stride = pairing == RopePairing::adjacent ? 2 : 1;
  const std::int64_t distance = pairing == RopePairing::adjacent ? 1 : pairs;
  for (std::int64_t i = 0; i < pairs; ++i) {
    float* a = head + i * stride;
    float* b = a + distance;
    const float x = *a;
    const float y = *b;
    *a = x * cosines[i] - y * sines[i];
    *b = x * sines[i] + y * cosines[i];
  }
}

}  // namespace checkbit
