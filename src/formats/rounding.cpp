#include "formats/rounding.h"

#include <algorithm>
#include <cmath>

#include "base/float16.h"
#include "formats/lanes.h"

namespace checkbit {
namespace {

/// (x - offset) / scale in the form x * inverse + shift, clamped and rounded to a whole level.
class Rounder {
 public:
  Rounder(Levels levels, Affine affine)
      : inverse_(affine.scale == 0 ? 0 : 1 / affine.scale),
        shift_(-affine.offset * inverse_),
        low_(static_cast<float>(levels.low)),
        high_(static_cast<float>(levels.high)) {}

  Lanes operator()(Lanes x) const {
    const Lanes low = Lanes{} + low_;
    const Lanes high = Lanes{} + high_;
    Lanes level = x * inverse_ + shift_;
    level = level > low ? level : low;  // also turns NaN into `low`
    level = level < high ? level : high;
    return (level + kRound) - kRound;
  }

 private:
  /// Adding 1.5 * 2^23 leaves no fraction bits: rounds to nearest even without SSE4.1.
  static constexpr float kRound = 12582912.0f;
  float inverse_, shift_, low_, high_;
};

/// Where the scale search starts: the extreme value is given to the outermost level times 1 / f,
/// f = first .. last. Fewer levels gain more from cutting the extremes off.
struct Grid {
  float first;
  float last;
  int steps;
};

int count_levels(Levels levels) { return levels.high - levels.low + 1; }

Grid scale_grid(Levels levels) {
  const float width = 1.1f / std::sqrt(static_cast<float>(count_levels(levels)));
  return {1 - width, 1 + 0.25f * width, 20};
}

float largest_magnitude(const Group& group) {
  float largest = 0;
  for (int i = 0; i < group.n; ++i) largest = std::max(largest, std::fabs(group.x[i]));
  return largest;
}

struct ScaleFit {
  float scale = 0;
  float gain = -1;  ///< sum w x^2 minus the error
};

ScaleFit fit_scale(const Group& group, Levels levels, float start) {
  const LevelSums sums = level_sums(group, levels, {start, 0});
  if (!(sums.ll > 0)) return {};
  return {sums.xl / sums.ll, sums.xl / sums.ll * sums.xl};
}

struct AffineFit {
  Affine affine;
  float gain = -1;
};

AffineFit fit_affine(const Group& group, Levels levels, OffsetSign sign, const ValueSums& values,
                     Affine start) {
  const LevelSums sums = level_sums(group, levels, start);
  const double determinant = double{values.w} * sums.ll - double{sums.l} * sums.l;
  Affine fit;
  if (determinant > 1e-6 * values.w * sums.ll) {
    fit.scale =
        static_cast<float>((double{values.w} * sums.xl - double{values.x} * sums.l) / determinant);
    fit.offset = (values.x - fit.scale * sums.l) / values.w;
  } else {  // all values at one level
    fit = {start.scale, (values.x - start.scale * sums.l) / values.w};
  }
  if (sign == OffsetSign::not_positive && fit.offset > 0) {
    fit = {sums.ll > 0 ? sums.xl / sums.ll : 0, 0};
  }
  if (!(fit.scale >= 0)) return {};
  const float gain = fit.scale * (2 * sums.xl - fit.scale * sums.ll - 2 * fit.offset * sums.l) +
                     fit.offset * (2 * values.x - fit.offset * values.w);
  return {fit, gain};
}

}  // namespace

void prepare_block(const float* in, const float* importance, int n, PreparedBlock& block) {
  constexpr float kLimit = 0x1p40f;
  constexpr float kFloor = 0x1p-100f;
  for (int i = 0; i < n; ++i) {
    block.x[i] = std::fabs(in[i]) < kFloor ? 0 : std::clamp(in[i], -kLimit, kLimit);
  }
  float largest = 0;
  if (importance != nullptr) largest = *std::max_element(importance, importance + n);
  if (!(largest > 0) || !std::isfinite(largest)) {
    std::fill_n(block.w, n, 1.0f);
    return;
  }
  for (int i = 0; i < n; ++i) block.w[i] = importance[i] / largest;
}

LevelSums level_sums(const Group& group, Levels levels, Affine affine) {
  const Rounder nearest(levels, affine);
  Lanes l{}, ll{}, xl{};
  for (int i = 0; i < group.n; i += kLanes) {
    const Lanes x = load_lanes(group.x + i);
    const Lanes level = nearest(x);
    const Lanes weighted = load_lanes(group.w + i) * level;
    l += weighted;
    ll += weighted * level;
    xl += weighted * x;
  }
  return {sum(l), sum(ll), sum(xl)};
}

ValueSums value_sums(const Group& group) {
  Lanes w{}, x{};
  for (int i = 0; i < group.n; i += kLanes) {
    w += load_lanes(group.w + i);
    x += load_lanes(group.w + i) * load_lanes(group.x + i);
  }
  return {sum(w), sum(x)};
}

float weighted_error(const Group& group, Levels levels, Affine affine) {
  const Rounder nearest(levels, affine);
  Lanes error{};
  for (int i = 0; i < group.n; i += kLanes) {
    const Lanes x = load_lanes(group.x + i);
    const Lanes difference = (x - affine.offset) - nearest(x) * affine.scale;
    error += load_lanes(group.w + i) * difference * difference;
  }
  return sum(error);
}

void round_to_levels(const Group& group, Levels levels, Affine affine, std::uint8_t* q) {
  const Rounder nearest(levels, affine);
  for (int i = 0; i < group.n; i += kLanes) {
    const Lanes level = nearest(load_lanes(group.x + i));
    for (int lane = 0; lane < kLanes; ++lane) {
      q[i + lane] = static_cast<std::uint8_t>(static_cast<int>(level[lane]) - levels.low);
    }
  }
}

float best_scale(const Group& group, Levels levels) {
  const float largest = largest_magnitude(group);
  if (largest == 0) return 0;
  const Grid grid = scale_grid(levels);
  const float outermost = static_cast<float>(std::max(-levels.low, levels.high));
  ScaleFit best[2];  // one for each sign: their levels are not mirror images
  for (int step = 0; step < grid.steps; ++step) {
    const float f = grid.first + (grid.last - grid.first) * step / (grid.steps - 1);
    const float start = f * largest / outermost;
    for (int sign = 0; sign < 2; ++sign) {
      const ScaleFit fit = fit_scale(group, levels, sign == 0 ? start : -start);
      if (fit.gain > best[sign].gain) best[sign] = fit;
    }
  }
  for (ScaleFit& candidate : best) {
    for (int turn = 0; turn < 3 && candidate.scale != 0; ++turn) {
      const ScaleFit fit = fit_scale(group, levels, candidate.scale);
      if (!(fit.gain > candidate.gain)) break;
      candidate = fit;
    }
  }
  return best[best[1].gain > best[0].gain ? 1 : 0].scale;
}

namespace {

/// By gain; where that is too close for sums of floats, by the error itself.
bool is_better(const Group& group, Levels levels, const AffineFit& fit, const AffineFit& best) {
  constexpr float kClose = 1e-5f;
  constexpr float kExact = 1e-9f;  // an error that is zero but for rounding
  const float difference = fit.gain - best.gain;
  if (!(std::fabs(difference) <= kClose * best.gain)) return difference > 0;
  if (fit.affine.scale == best.affine.scale && fit.affine.offset == best.affine.offset)
    return false;
  return weighted_error(group, levels, fit.affine) + kExact * best.gain <
         weighted_error(group, levels, best.affine);
}

}  // namespace

Affine best_affine(const Group& group, Levels levels, OffsetSign sign) {
  const auto [lowest, highest] = std::minmax_element(group.x, group.x + group.n);
  const float bottom = sign == OffsetSign::any ? *lowest : std::min(*lowest, 0.0f);
  const float range = *highest - bottom;
  const ValueSums values = value_sums(group);
  if (!(range > 0)) return {0, bottom};
  // Lowest and highest value start up to one level inside or outside the ends. Inside: cutting
  // extremes off helps. Outside: values from a coarser grid need not reach its ends; not at 2 bits.
  constexpr int kPlaces = 3;
  const int outside = std::min(kPlaces, levels.high / 4);
  // The lowest value at the lowest level comes first and keeps its place against equals: values
  // that lie on a grid already often fit shifted by a level too, but that offset is not on a grid.
  AffineFit best;
  for (int i = 0; i <= 2 * kPlaces; ++i) {
    const int low_place = i % 2 == 0 ? i / 2 : -(i + 1) / 2;  // 0, -1, 1, -2, 2, ...
    if (low_place < -outside) continue;
    for (int high_place = -outside; high_place <= kPlaces; ++high_place) {
      const float low_level = -static_cast<float>(low_place) / kPlaces;
      const float high_level = static_cast<float>(levels.high * kPlaces + high_place) / kPlaces;
      const float scale = range / (high_level - low_level);
      const AffineFit fit =
          fit_affine(group, levels, sign, values, {scale, bottom - low_level * scale});
      if (is_better(group, levels, fit, best)) best = fit;
    }
  }
  for (int turn = 0; turn < 4; ++turn) {
    const AffineFit fit = fit_affine(group, levels, sign, values, best.affine);
    if (!(fit.gain > best.gain)) break;
    best = fit;
  }
  return best.affine;
}

std::uint16_t finite_half(float value) {
  return float_to_half(std::clamp(value, -65504.0f, 65504.0f));
}

std::uint16_t storable_half(float scale) {
  const std::uint16_t half = finite_half(scale);
  const bool vanished = scale != 0 && (half & 0x7fffu) == 0;
  return vanished ? static_cast<std::uint16_t>(half | 1u) : half;
}

int half_code_at_most(float scale, int dropped_bits, int largest) {
  const auto value = [&](int code) {
    return half_to_float(static_cast<std::uint16_t>(code << dropped_bits));
  };
  if (!(scale < value(largest))) return largest;
  int code = float_to_half(scale) >> dropped_bits;
  while (code > 0 && value(code) > scale) --code;
  return code;
}

std::uint16_t best_half_scale(const Group& group, Levels levels) {
  const float scale = best_scale(group, levels);
  if (scale == 0) return 0;
  // What a plain encoder would take: extreme value at the outermost level. Never do worse.
  const float largest = largest_magnitude(group);
  const std::uint16_t fitted = storable_half(scale);
  const std::uint16_t plain =
      storable_half(std::copysign(largest / static_cast<float>(-levels.low), scale));
  std::uint16_t best = 0;
  float least = weighted_error(group, levels, {0, 0});
  for (const std::uint16_t base : {fitted, plain}) {
    for (int step = -1; step <= 1; ++step) {
      const auto half = static_cast<std::uint16_t>(base + step);
      if ((half & 0x7fffu) == 0 || (half & 0x7c00u) == 0x7c00u) continue;
      const float error = weighted_error(group, levels, {half_to_float(half), 0});
      if (error < least) {
        least = error;
        best = half;
      }
    }
  }
  return best;
}

HalfAffine best_half_affine(const Group& group, Levels levels) {
  const Affine fitted = best_affine(group, levels, OffsetSign::any);
  const ValueSums values = value_sums(group);
  const std::uint16_t base = storable_half(fitted.scale);
  HalfAffine best;
  float least = -1;
  for (int step = -1; step <= 1; ++step) {
    if (base + step < 0 || base + step > 0x7bff) continue;
    const auto scale = static_cast<std::uint16_t>(base + step);
    const float value = half_to_float(scale);
    const LevelSums sums = level_sums(group, levels, {value, fitted.offset});
    const std::uint16_t offset = finite_half((values.x - value * sums.l) / values.w);
    const float error = weighted_error(group, levels, {value, half_to_float(offset)});
    if (least < 0 || error < least) {
      least = error;
      best = {scale, offset};
    }
  }
  return best;
}

}  // namespace checkbit
