#include "guard/scan_positions.h"

#include <algorithm>
#include <cmath>
#include <span>

namespace checkbit {
namespace {

constexpr int kWidths[] = {1, 2, 4, 8};  ///< of a stretch, in bins

double share_of(const PositionHistogram& h, int first, int width) {
  double sum = 0;
  for (int i = first; i < first + width; ++i)
    sum += static_cast<double>(h.bins[static_cast<std::size_t>(i)]);
  return sum / static_cast<double>(h.weights);
}

/// The step of weight i of a block; 0 or not finite for a block without.
float step_of(const IntegerForm& form, const IntegerBlock& block, int i) {
  return block.scale[i / form.scale_elements] *
         static_cast<float>(form.has_sub_scale ? block.sub_scale[i / form.sub_elements] : 1);
}

struct Judge {
  std::span<const int> widths;
  int first = 0;  ///< bin
  double least_share = 0;
};

PositionResult judge(const PositionHistogram& histogram, const PositionHistogram& blurred,
                     const Judge& by) {
  PositionResult result{
      .histogram = histogram, .blurred = blurred, .weights = histogram.weights, .excess = -1};
  if (histogram.weights == 0 || blurred.weights == 0) return result;
  double most_errors = -1;
  for (const int width : by.widths) {
    for (int first = by.first; first + width <= kPositionBins; ++first) {
      const double share = share_of(histogram, first, width);
      const double usual = share_of(blurred, first, width);
      const double error = std::sqrt(share / static_cast<double>(histogram.weights) +
                                     usual / static_cast<double>(blurred.weights)) +
                           1 / static_cast<double>(histogram.weights);
      const double excess = share - usual;
      if (excess / error <= most_errors) continue;
      most_errors = excess / error;
      result.excess = excess;
      result.error = error;
      result.position = (first + width / 2.0) / (2.0 * kPositionBins);
    }
  }
  result.crafted = result.excess > by.least_share && most_errors > kCrowdErrors;
  return result;
}

/// Whether all 16 weights are their least plus whole multiples of one step, up to what storing them
/// in 16 bits changes.
bool is_lattice_run(const float* weights) {
  constexpr int kMostSteps = 255;
  constexpr float kTolerance = 0.15f;
  const float low = *std::min_element(weights, weights + 16);
  const float range = *std::max_element(weights, weights + 16) - low;
  if (!(range > 0)) return false;
  for (int steps = 1; steps <= kMostSteps; ++steps) {
    const float inverse = static_cast<float>(steps) / range;
    const bool all = std::all_of(weights, weights + 16, [&](float w) {
      const float at = (w - low) * inverse;
      return std::abs(at - std::round(at)) <= kTolerance;
    });
    if (all) return true;
  }
  return false;
}

}  // namespace

void PositionHistogram::add(const PositionHistogram& other) {
  for (int i = 0; i < kPositionBins; ++i) bins[i] += other.bins[i];
  weights += other.weights;
}

bool has_positions(const Format& format) {
  const bool all_in_use = format.integer.bits <= format.bits_per_weight();  // unlike a lattice's
  return all_in_use && format.integer.bits >= 2 && format.integer.table == nullptr &&
         format.unpack != nullptr && format.encode != nullptr && !format.ternary;
}

void add_positions(const Format& format, const std::uint8_t* bytes, const float* weights,
                   PositionHistogram& histogram) {
  const IntegerForm& form = format.integer;
  IntegerBlock block;
  format.unpack(bytes, block);
  for (int start = 0; start < format.block_elements; start += form.sub_elements) {
    const int group = start / form.scale_elements;
    const int sub = start / form.sub_elements;
    const float step = step_of(form, block, start);
    if (!(std::abs(step) > 0) || !std::isfinite(step)) continue;
    const float min =
        form.has_min ? block.min_scale[group] * (form.has_sub_min ? block.sub_min[sub] : 1) : 0;
    // The levels at the ends hold what was cut and what the scale was made from.
    const auto [low, high] =
        std::minmax_element(&block.q[start], &block.q[start] + form.sub_elements);
    for (int i = start; i < start + form.sub_elements; ++i) {
      if (block.q[i] == *low || block.q[i] == *high) continue;
      const float level = (weights[i] + min) / step + static_cast<float>(form.q_offset);
      const float distance = std::abs(level - static_cast<float>(block.q[i]));
      ++histogram.weights;
      // Encoders that weigh errors against each other do not always take the nearest level.
      if (!(distance <= 0.5f)) continue;
      const int bin = static_cast<int>(distance * 2 * kPositionBins);
      ++histogram.bins[std::min(bin, kPositionBins - 1)];
    }
  }
}

void blur(const Format& format, const std::uint8_t* bytes, Random& random, float* weights) {
  IntegerBlock block;
  format.unpack(bytes, block);
  for (int i = 0; i < format.block_elements; ++i) {
    const float step = step_of(format.integer, block, i);
    if (std::isfinite(step)) weights[i] += step * (random.uniform_float() - 0.5f);
  }
}

PositionResult judge_positions(const PositionHistogram& histogram,
                               const PositionHistogram& blurred) {
  return judge(histogram, blurred, {.widths = kWidths, .first = 0, .least_share = kCrowdShare});
}

PositionResult judge_pooled(const PositionHistogram& histogram, const PositionHistogram& blurred) {
  constexpr int kNearTurning = kPositionBins * 4 / 5;
  return judge(
      histogram, blurred,
      {.widths = std::span(kWidths).first(2), .first = kNearTurning, .least_share = kPooledShare});
}

bool lies_on_lattice(std::span<const float> weights) {
  constexpr std::size_t kRuns = 64;
  const std::size_t runs = weights.size() / 16;
  const std::size_t stride = std::max<std::size_t>(1, runs / kRuns);
  std::size_t seen = 0;
  std::size_t on = 0;
  for (std::size_t run = 0; run < runs; run += stride, ++seen)
    on += is_lattice_run(weights.data() + 16 * run) ? 1 : 0;
  return seen > 0 && 2 * on > seen;
}

}  // namespace checkbit
