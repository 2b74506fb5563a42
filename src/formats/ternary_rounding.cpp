#include "formats/ternary_rounding.h"

#include <algorithm>
#include <cmath>

#include "base/float16.h"

namespace checkbit {
namespace {

struct Weighed {
  double size;
  double weight;
};

/// The mean of the k largest sizes, for the k that explains most: largest sum^2 / total weight.
double mean_of_kept(std::array<Weighed, kTernaryBlock>& values) {
  std::ranges::sort(values, [](const Weighed& a, const Weighed& b) { return a.size > b.size; });
  double sum = 0.0;
  double total = 0.0;
  double best_gain = 0.0;
  double best = 0.0;
  for (const Weighed& value : values) {
    sum += value.weight * value.size;
    total += value.weight;
    if (total > 0.0 && sum / total * sum > best_gain) {
      best_gain = sum / total * sum;
      best = sum / total;
    }
  }
  return best;
}

}  // namespace

TernaryBlock round_to_ternary(const Group& group) {
  std::array<Weighed, kTernaryBlock> values;
  for (int i = 0; i < kTernaryBlock; ++i) {
    values[i] = {.size = std::fabs(group.x[i]), .weight = group.w[i]};
  }
  TernaryBlock block;
  block.scale = storable_half(static_cast<float>(mean_of_kept(values)));
  const float half_scale = 0.5f * half_to_float(block.scale);
  for (int i = 0; i < kTernaryBlock; ++i) {
    const bool kept = half_scale > 0 && std::fabs(group.x[i]) > half_scale;
    block.codes[i] = static_cast<std::uint8_t>(!kept ? 1 : group.x[i] < 0 ? 0 : 2);
  }
  return block;
}

}  // namespace checkbit
