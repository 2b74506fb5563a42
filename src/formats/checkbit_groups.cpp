#include "formats/checkbit_groups.h"

#include <algorithm>
#include <cmath>

#include "formats/integer_form.h"

namespace checkbit {
namespace {

constexpr int kLargestScaleCode = 0x1ef;  // exponent 30, mantissa all ones
constexpr int kDroppedBits = 6;           // of the scale's half

float code_scale(int code) {
  return half_to_float(static_cast<std::uint16_t>(code << kDroppedBits));
}

}  // namespace

bool group_head_is_finite(const std::uint8_t* block) {
  return half_is_finite(group_head_half(load_unaligned<std::uint16_t>(block)));
}

GroupHead best_group_head(const Group& group, int bits) {
  const Levels levels{0, (1 << bits) - 1};
  const float units = static_cast<float>(128 >> bits);
  const Affine fitted = best_affine(group, levels, OffsetSign::not_positive);
  const ValueSums values = value_sums(group);
  GroupHead best;  // all zeros
  float least = weighted_error(group, levels, best.affine);
  // The offset reaches down 127 units only: groups far below zero need a larger scale.
  const int base = half_code_at_most(std::max(fitted.scale, -fitted.offset * units / 127),
                                     kDroppedBits, kLargestScaleCode);
  for (int code = std::max(1, base - 1); code <= std::min(base + 2, kLargestScaleCode); ++code) {
    const float scale = code_scale(code);
    const LevelSums sums = level_sums(group, levels, {scale, fitted.offset});
    // The offset that fits these levels, in its own units; then its neighbours.
    const float wanted = (scale * sums.l - values.x) / values.w * units / scale;
    const int nearest = static_cast<int>(std::clamp(std::nearbyint(wanted), 0.0f, 127.0f));
    for (int o = std::max(0, nearest - 1); o <= std::min(127, nearest + 1); ++o) {
      const Affine affine{scale, -scale * static_cast<float>(o) / units};
      const float error = weighted_error(group, levels, affine);
      if (error < least) {
        least = error;
        best = {static_cast<std::uint16_t>((code << 7) | o), affine};
      }
    }
  }
  return best;
}

}  // namespace checkbit
