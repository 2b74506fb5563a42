// IQ4_XS: 4-bit codes into a fixed uneven table in blocks of 256, 4.25 bits per weight.
//
// w = scale * (s[i / 32] - 32) * (kIq4Table[code] - 128), s = 0 .. 63.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>

#include "formats/bit_planes.h"
#include "formats/codebook_rounding.h"
#include "formats/codebooks.h"
#include "formats/integer_form.h"

namespace checkbit {
namespace {

struct Block {
  std::uint16_t scale;                  ///< binary16
  std::uint16_t high_subs;              ///< bits 4 and 5 of s, group 0 lowest
  std::array<std::uint8_t, 4> subs;     ///< low 4 bits of s, two per byte, low one first
  std::array<std::uint8_t, 128> codes;  ///< per 32 weights 16 bytes: code i low, code i + 16 high
};
static_assert(sizeof(Block) == 136);
static_assert(offsetof(Block, high_subs) == 2);
static_assert(offsetof(Block, subs) == 4);
static_assert(offsetof(Block, codes) == 8);

void unpack(const std::uint8_t* bytes, IntegerBlock& out) {
  const auto block = load_unaligned<Block>(bytes);
  out.scale[0] = half_to_float(block.scale);
  for (std::size_t g = 0; g < 8; ++g) {
    const int low = (block.subs[g / 2] >> (4 * (g % 2))) & 15;
    const int high = (block.high_subs >> (2 * g)) & 3;
    out.sub_scale[g] = static_cast<std::int16_t>((low | high << 4) - 32);
  }
  unpack_planes<4, 16, 128>(block.codes.data(), out.q.data());
}

constexpr int kGroups = 8;
constexpr int kSmallestSub = -32;
constexpr int kLargestSub = 31;
constexpr int kSmallestOuterSub = 12;  // the largest group uses at least this one

Group group_of(const Group& block, int g) { return block.part(g * kCodebookGroup, kCodebookGroup); }

/// A choice of scales for one block and its weighted squared error. The default is all zero.
struct Scales {
  float scale = 0.0f;  ///< a binary16 value
  std::array<int, kGroups> subs{};
  double error = 0.0;
};

/// What each group would like: its own best scale, and how much missing it costs.
struct Wishes {
  std::array<float, kGroups> scale;
  std::array<float, kGroups> cost;  ///< sum of weights * q * q: error grows with cost * miss^2
};

Wishes wishes_of(const Group& block) {
  Wishes wishes;
  for (int g = 0; g < kGroups; ++g) {
    wishes.scale[g] = best_codebook_scale(group_of(block, g));
    wishes.cost[g] = codebook_sums(group_of(block, g), wishes.scale[g]).qq;
  }
  return wishes;
}

int nearest_sub(float wish, float scale) {
  if (scale == 0.0f) return 0;
  const float sub = std::nearbyint(wish / scale);
  return static_cast<int>(
      std::clamp(sub, static_cast<float>(kSmallestSub), static_cast<float>(kLargestSub)));
}

/// The error to expect at a block scale, from the wishes alone.
double estimate(const Wishes& wishes, float scale) {
  double total = 0.0;
  for (int g = 0; g < kGroups; ++g) {
    const double miss =
        wishes.scale[g] - static_cast<double>(scale) * nearest_sub(wishes.scale[g], scale);
    total += wishes.cost[g] * miss * miss;
  }
  return total;
}

/// The most promising of the block scales that put the largest wish on an outer sub-scale.
std::array<float, 4> promising_scales(const Wishes& wishes) {
  const float largest = *std::ranges::max_element(
      wishes.scale, [](float a, float b) { return std::fabs(a) < std::fabs(b); });
  std::array<std::pair<double, float>, kLargestSub - kSmallestSub + 1> candidates;
  std::size_t count = 0;
  for (int sub = kSmallestSub; sub <= kLargestSub; ++sub) {
    if (std::abs(sub) < kSmallestOuterSub) continue;
    const float scale = half_to_float(storable_half(largest / static_cast<float>(sub)));
    candidates[count++] = {estimate(wishes, scale), scale};
  }
  std::array<float, 4> best;
  std::partial_sort(candidates.begin(), candidates.begin() + best.size(),
                    candidates.begin() + count);
  for (std::size_t i = 0; i < best.size(); ++i) best[i] = candidates[i].second;
  return best;
}

double error_of(const Group& block, const Scales& scales) {
  double error = 0.0;
  for (int g = 0; g < kGroups; ++g) {
    error += codebook_error(group_of(block, g), scales.scale * static_cast<float>(scales.subs[g]));
  }
  return error;
}

/// The best sub-scales near the wishes, group by group.
Scales choose_subs(const Group& block, const Wishes& wishes, float scale) {
  Scales scales{.scale = scale};
  for (int g = 0; g < kGroups; ++g) {
    const int near = nearest_sub(wishes.scale[g], scale);
    float best_error = std::numeric_limits<float>::infinity();
    for (int sub = std::max(near - 1, kSmallestSub); sub <= std::min(near + 1, kLargestSub);
         ++sub) {
      const float error = codebook_error(group_of(block, g), scale * static_cast<float>(sub));
      if (!(error < best_error)) continue;
      best_error = error;
      scales.subs[g] = sub;
    }
  }
  scales.error = error_of(block, scales);
  return scales;
}

/// The block scale of least squares for the codes and sub-scales at hand.
Scales refit_scale(const Group& block, const Scales& from) {
  double sx = 0.0;
  double ss = 0.0;
  for (int g = 0; g < kGroups; ++g) {
    const auto sums =
        codebook_sums(group_of(block, g), from.scale * static_cast<float>(from.subs[g]));
    if (from.subs[g] == 0) continue;
    sx += static_cast<double>(from.subs[g]) * sums.xq;
    ss += static_cast<double>(from.subs[g]) * from.subs[g] * sums.qq;
  }
  Scales refitted = from;
  refitted.scale = ss > 0.0 ? half_to_float(storable_half(static_cast<float>(sx / ss))) : 0.0f;
  refitted.error = error_of(block, refitted);
  return refitted;
}

Scales search_scales(const Group& block) {
  const Wishes wishes = wishes_of(block);
  Scales best;
  best.error = error_of(block, best);
  for (const float scale : promising_scales(wishes)) {
    const Scales chosen = choose_subs(block, wishes, scale);
    const Scales refitted = refit_scale(block, chosen);
    for (const Scales* scales : {&chosen, &refitted}) {
      if (scales->error < best.error) best = *scales;
    }
  }
  return best;
}

void encode(const float* in, std::size_t n_blocks, const float* importance, std::uint8_t* blocks) {
  encode_blocks<Block, 256>(in, n_blocks, importance, blocks, [](const Group& group, Block& block) {
    const Scales scales = search_scales(group);
    block.scale = float_to_half(scales.scale);
    std::array<std::uint8_t, 256> codes;
    for (int g = 0; g < kGroups; ++g) {
      codebook_codes(group_of(group, g), scales.scale * static_cast<float>(scales.subs[g]),
                     codes.data() + kCodebookGroup * g);
      const int stored = scales.subs[g] - kSmallestSub;
      block.subs[g / 2] =
          static_cast<std::uint8_t>(block.subs[g / 2] | (stored & 15) << (4 * (g % 2)));
      block.high_subs = static_cast<std::uint16_t>(block.high_subs | (stored >> 4) << (2 * g));
    }
    pack_planes<4, 16, 128>(codes.data(), block.codes.data());
  });
}

}  // namespace

extern const Format iq4_xs_format;
const Format iq4_xs_format = {.name = "IQ4_XS",
                              .type_id = 23,
                              .block_elements = 256,
                              .block_bytes = sizeof(Block),
                              .summary = "4 bits into an uneven table, 6-bit scale per 32",
                              .decode = decode_integer<iq4_xs_format>,
                              .encode = encode,
                              .is_finite = half_at_is_finite<0>,
                              .integer = {.bits = 4,
                                          .q_offset = kIq4Offset,
                                          .table = kIq4Table.data(),
                                          .scale_elements = 256,
                                          .sub_elements = 32,
                                          .has_sub_scale = true,
                                          .half_scales = true,
                                          .activation_elements = 256},
                              .unpack = unpack};

}  // namespace checkbit
