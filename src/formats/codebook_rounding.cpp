#include "formats/codebook_rounding.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/float16.h"
#include "formats/codebooks.h"

namespace checkbit {
namespace {

/// Below this every value rounds to nothing: no half that is not zero comes nearer.
constexpr float kSmallestValue = 0x1p-26f;
constexpr std::uint8_t kCodeOfOne = 8;
constexpr int kCodes = 16;

/// The largest value is tried on all places from within the table to well beyond its ends.
constexpr float kFirstReach = 36;
constexpr float kLastReach = 160;

constexpr float table_value(int code) {
  return static_cast<float>(kIq4Table[static_cast<std::size_t>(code)] - kIq4Offset);
}

/// Nearest codes by table. All boundaries between neighbours are multiples of one half, so a bin of
/// width one half, from -128 to 128, belongs to one code.
constexpr int kBinReach = 128;
constexpr int kBins = 4 * kBinReach;
constexpr std::array<std::uint8_t, kBins> make_bin_codes() {
  std::array<std::uint8_t, kBins> codes{};
  int code = 0;
  for (int bin = 0; bin < kBins; ++bin) {
    const float lower = static_cast<float>(bin - 2 * kBinReach) / 2;
    while (code + 1 < kCodes && 2 * lower >= table_value(code) + table_value(code + 1)) ++code;
    codes[static_cast<std::size_t>(bin)] = static_cast<std::uint8_t>(code);
  }
  return codes;
}
constexpr std::array<std::uint8_t, kBins> kBinCodes = make_bin_codes();
constexpr std::array<float, kBins> make_bin_values() {
  std::array<float, kBins> values{};
  for (std::size_t bin = 0; bin < kBins; ++bin) values[bin] = table_value(kBinCodes[bin]);
  return values;
}
constexpr std::array<float, kBins> kBinValues = make_bin_values();

/// The bin of each x * inverse. Half a unit inside the upper end, so that the last bin takes all.
std::array<int, kCodebookGroup> bins_of(const Group& group, float inverse) {
  constexpr float kLow = -kBinReach;
  constexpr float kHigh = kBinReach - 0.5f;
  std::array<int, kCodebookGroup> bins;
  for (int i = 0; i < kCodebookGroup; ++i) {
    float y = group.x[i] * inverse;
    y = y > kLow ? y : kLow;
    y = y < kHigh ? y : kHigh;
    bins[i] = static_cast<int>(y * 2 + 2 * kBinReach);
  }
  return bins;
}

/// Table values of the codes nearest to x / scale.
std::array<float, kCodebookGroup> nearest_values(const Group& group, float scale) {
  const auto bins = bins_of(group, scale == 0 ? 0 : 1 / scale);
  std::array<float, kCodebookGroup> values;
  for (int i = 0; i < kCodebookGroup; ++i)
    values[i] = kBinValues[static_cast<std::size_t>(bins[i])];
  return values;
}

/// Eight partial sums in a fixed order.
template <class Term>
float sum_terms(Term term) {
  std::array<float, 8> lanes{};
  for (int i = 0; i < kCodebookGroup; i += 8) {
    for (int lane = 0; lane < 8; ++lane) lanes[lane] += term(i + lane);
  }
  return ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) +
         ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
}

/// The walk over all scales of one sign. The inverse scale grows from step to step.
class ScaleWalk {
  static constexpr int kMaxSteps = kCodebookGroup * kCodes / 2;  // none crosses the middle

 public:
  ScaleWalk(const Group& group, float largest, float sign) : group_(group), sign_(sign) {
    const float first = kFirstReach / largest;
    const float last = kLastReach / largest;
    const auto bins = bins_of(group, first * sign);
    for (int i = 0; i < kCodebookGroup; ++i) {
      codes_[i] = kBinCodes[static_cast<std::size_t>(bins[i])];
      const double q = table_value(codes_[i]);
      xq_ += static_cast<double>(group.w[i]) * group.x[i] * sign * q;
      qq_ += static_cast<double>(group.w[i]) * q * q;
      add_steps(i, last);
    }
    sort_steps(first, last);
  }

  /// Takes all steps. `gain`, how much error a scale saves, rises to the best seen; returns whether
  /// `scale` was set to a better one.
  void take(double& gain, float& scale) {
    note(gain, scale);
    for (int s = 0; s < n_steps_; ++s) {
      const int i = steps_[s].index;
      const double before = table_value(codes_[i]);
      codes_[i] += direction(i);
      const double after = table_value(codes_[i]);
      xq_ += static_cast<double>(group_.w[i]) * group_.x[i] * sign_ * (after - before);
      qq_ += static_cast<double>(group_.w[i]) * (after * after - before * before);
      note(gain, scale);
    }
  }

 private:
  /// Weight `index` moves to the next code at this inverse scale.
  struct Step {
    float inverse;
    int index;
  };

  int direction(int i) const { return group_.x[i] * sign_ > 0 ? 1 : -1; }

  void add_steps(int i, float last) {
    const float x = group_.x[i] * sign_;
    if (x == 0 || group_.w[i] == 0) return;
    const int to = direction(i);
    for (int code = codes_[i]; code + to >= 0 && code + to < kCodes; code += to) {
      const float inverse = (table_value(code) + table_value(code + to)) / (2 * x);
      if (!(inverse <= last)) break;
      steps_[n_steps_++] = {inverse, i};
    }
  }

  /// By inverse scale: counted into even buckets, about one step in each, then straightened.
  void sort_steps(float first, float last) {
    constexpr int kBuckets = 128;
    const float per_unit = (kBuckets - 1) / (last - first);
    std::array<std::uint8_t, kMaxSteps> bucket;
    std::array<int, kBuckets + 1> start{};
    for (int s = 0; s < n_steps_; ++s) {
      const float place = std::max(0.0f, (steps_[s].inverse - first) * per_unit);
      bucket[s] = static_cast<std::uint8_t>(std::min(static_cast<int>(place), kBuckets - 1));
      ++start[bucket[s] + 1];
    }
    for (int i = 0; i < kBuckets; ++i) start[i + 1] += start[i];
    std::array<Step, kMaxSteps> sorted;
    for (int s = 0; s < n_steps_; ++s) sorted[start[bucket[s]]++] = steps_[s];
    for (int s = 1; s < n_steps_; ++s) {
      const Step step = sorted[s];
      int to = s;
      for (; to > 0 && sorted[to - 1].inverse > step.inverse; --to) sorted[to] = sorted[to - 1];
      sorted[to] = step;
    }
    std::copy_n(sorted.begin(), n_steps_, steps_.begin());
  }

  void note(double& gain, float& scale) const {
    if (xq_ <= 0 || qq_ <= 0 || xq_ * xq_ <= gain * qq_) return;
    gain = xq_ * xq_ / qq_;
    scale = sign_ * static_cast<float>(xq_ / qq_);
  }

  const Group& group_;
  float sign_;
  double xq_ = 0;
  double qq_ = 0;
  int n_steps_ = 0;
  std::array<int, kCodebookGroup> codes_;
  std::array<Step, kMaxSteps> steps_;
};

}  // namespace

CodebookSums codebook_sums(const Group& group, float scale) {
  const auto q = nearest_values(group, scale);
  return {.xq = sum_terms([&](int i) { return group.w[i] * group.x[i] * q[i]; }),
          .qq = sum_terms([&](int i) { return group.w[i] * q[i] * q[i]; })};
}

float codebook_error(const Group& group, float scale) {
  const auto q = nearest_values(group, scale);
  return sum_terms([&](int i) {
    const float miss = group.x[i] - scale * q[i];
    return group.w[i] * miss * miss;
  });
}

void codebook_codes(const Group& group, float scale, std::uint8_t* codes) {
  const auto bins = bins_of(group, scale == 0 ? 0 : 1 / scale);
  for (int i = 0; i < kCodebookGroup; ++i) {
    codes[i] = scale == 0 ? kCodeOfOne : kBinCodes[static_cast<std::size_t>(bins[i])];
  }
}

float best_codebook_scale(const Group& group) {
  float largest = 0;
  for (int i = 0; i < kCodebookGroup; ++i) {
    if (group.w[i] > 0) largest = std::max(largest, std::fabs(group.x[i]));
  }
  if (largest < kSmallestValue) return 0;
  double gain = 0;
  float scale = 0;
  for (const float sign : {1.0f, -1.0f}) ScaleWalk(group, largest, sign).take(gain, scale);
  return scale;
}

std::uint16_t best_codebook_half(const Group& group) {
  const float scale = best_codebook_scale(group);
  std::uint16_t best = 0;
  if (scale == 0) return best;
  float least = codebook_error(group, 0);
  const std::uint16_t base = storable_half(scale);
  for (int step = -1; step <= 1; ++step) {
    const auto half = static_cast<std::uint16_t>(base + step);
    const float value = half_to_float(half);
    if (!std::isfinite(value)) continue;
    const float error = codebook_error(group, value);
    if (error < least) {
      least = error;
      best = half;
    }
  }
  return best;
}

}  // namespace checkbit
