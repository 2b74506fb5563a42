#include "formats/codebook_rounding.h"

#include <algorithm>
#include <cmath>

#include "base/float16.h"
#include "formats/codebooks.h"

namespace checkbit {
namespace {

constexpr float kLargestHalf = 65504.0f;
/// Below this a group is all zero: no half that is not zero comes nearer.
constexpr float kSmallestValue = 0x1p-26f;
constexpr std::uint8_t kCodeOfOne = 8;
constexpr int kRefits = 3;

/// Table values the largest weight may lie on. Inner ones would leave most of the table unused.
constexpr std::array<float, 11> kTargets = {-127, -104, -83, -65, -49, 38, 53, 69, 89, 113, 127};

constexpr int table_value(std::size_t code) { return kIq4Table[code] - kIq4Offset; }

/// Nearest codes by table. All boundaries between neighbours are multiples of one half, so a bin of
/// width one half, from -128 to 128, belongs to one code.
constexpr int kBinsPerUnit = 2;
constexpr int kBinReach = 128;
struct Bins {
  std::array<float, 2 * kBinReach * kBinsPerUnit> value{};
  std::array<std::uint8_t, 2 * kBinReach * kBinsPerUnit> code{};
};
constexpr Bins make_bins() {
  Bins bins;
  for (std::size_t bin = 0; bin < bins.code.size(); ++bin) {
    const int lower = static_cast<int>(bin) - kBinReach * kBinsPerUnit;  // in halves
    std::size_t code = 0;
    while (code + 1 < kIq4Table.size() && lower >= table_value(code) + table_value(code + 1)) {
      ++code;
    }
    bins.value[bin] = static_cast<float>(table_value(code));
    bins.code[bin] = static_cast<std::uint8_t>(code);
  }
  return bins;
}
constexpr Bins kBins = make_bins();

std::size_t bin_of(float scaled) {
  constexpr float kReach = kBinReach;
  const float inside = std::clamp(scaled, -kReach, kReach - 0.5f);
  return static_cast<std::size_t>(static_cast<int>((inside + kReach) * kBinsPerUnit));
}

float inverse(float scale) { return scale == 0.0f ? 0.0f : 1.0f / scale; }

/// The value of largest size among those that count; 0 when none does.
float largest_value(const CodebookGroup& group) {
  float largest = 0.0f;
  for (std::size_t i = 0; i < kCodebookGroup; ++i) {
    if (group.weights[i] > 0.0f && std::fabs(group.values[i]) > std::fabs(largest)) {
      largest = group.values[i];
    }
  }
  return largest;
}

}  // namespace

void load_codebook_groups(const float* in, const float* importance, float largest,
                          std::span<CodebookGroup> groups) {
  const std::size_t n = groups.size() * kCodebookGroup;
  const float top = importance == nullptr ? 0.0f : *std::max_element(importance, importance + n);
  for (std::size_t i = 0; i < n; ++i) {
    CodebookGroup& group = groups[i / kCodebookGroup];
    group.values[i % kCodebookGroup] = std::clamp(in[i], -largest, largest);
    group.weights[i % kCodebookGroup] = top > 0.0f ? importance[i] / top : 1.0f;
  }
}

CodebookSums codebook_sums(const CodebookGroup& group, float scale) {
  CodebookSums sums;
  const float inverse_scale = inverse(scale);
  for (std::size_t i = 0; i < kCodebookGroup; ++i) {
    const float q = kBins.value[bin_of(group.values[i] * inverse_scale)];
    const float weighted = group.weights[i] * q;
    sums.qx += weighted * group.values[i];
    sums.qq += weighted * q;
  }
  return sums;
}

float codebook_error(const CodebookGroup& group, float scale) {
  float error = 0.0f;
  const float inverse_scale = inverse(scale);
  for (std::size_t i = 0; i < kCodebookGroup; ++i) {
    const float q = kBins.value[bin_of(group.values[i] * inverse_scale)];
    const float miss = group.values[i] - scale * q;
    error += group.weights[i] * miss * miss;
  }
  return error;
}

void codebook_codes(const CodebookGroup& group, float scale, std::uint8_t* codes) {
  const float inverse_scale = inverse(scale);
  for (std::size_t i = 0; i < kCodebookGroup; ++i) {
    codes[i] = scale == 0.0f ? kCodeOfOne : kBins.code[bin_of(group.values[i] * inverse_scale)];
  }
}

float search_codebook_scale(const CodebookGroup& group, float (*round)(float)) {
  const float largest = largest_value(group);
  if (std::fabs(largest) < kSmallestValue) return 0.0f;
  float best = 0.0f;
  float best_error = codebook_error(group, 0.0f);
  const auto improve = [&](float scale) {
    const float refitted = round(codebook_sums(group, scale).best_scale());
    const float error = codebook_error(group, refitted);
    if (!(error < best_error)) return false;
    best = refitted;
    best_error = error;
    return true;
  };
  for (const float target : kTargets) improve(largest / target);
  for (int i = 0; i < kRefits && best != 0.0f && improve(best); ++i) {
  }
  return best;
}

float round_to_finite_half(float value) {
  return half_to_float(float_to_half(std::clamp(value, -kLargestHalf, kLargestHalf)));
}

}  // namespace checkbit
