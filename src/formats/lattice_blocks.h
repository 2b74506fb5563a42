// Encoding an IQ block: one half scale, odd integer sub-scales, and lattice codes under them.
//
// What: a block of 256 weights w = d * unit * (2 s[group] + 1) * q. Finds d, every s and every code
//   so that the weighted squared error is small.
// How: each group's own best scale is found from a few starts by turns of exact coding and
//   refitting. For the block scales that put the largest of these wishes on each sub-scale the
//   error is estimated from the wishes alone; the most promising is coded exactly, with the
//   sub-scales next to each wish, and d is refitted by least squares as long as the error falls.
// Threads: pure functions; nothing is allocated.
#pragma once

#include <cmath>

#include "base/float16.h"
#include "formats/lattice_units.h"
#include "formats/rounding.h"

namespace checkbit {

/// What distinguishes the IQ formats for the search.
struct LatticeSpec {
  float unit = 1;                 ///< d * unit is the scale at sub-scale 1
  int group_elements = 32;        ///< weights under one s, 16 or 32
  int subs = 16;                  ///< s < subs
  std::array<float, 5> starts{};  ///< scales to try first, per root mean square of the group; > 0,
                                  ///< then zeros
  int lowest = 1;                 ///< a value that a row of equal weights can take
};

template <class Unit>
struct LatticeBlock {
  std::uint16_t scale = 0;              ///< binary16
  std::array<std::uint8_t, 16> subs{};  ///< s [256 / group_elements]
  std::array<typename Unit::Code, 256 / Unit::kElements> codes{};
};

/// One block's search. Precondition: kGroup = spec.group_elements.
template <class Unit, int kGroup>
class LatticeBlockSearch {
 public:
  using Block = LatticeBlock<Unit>;

  LatticeBlockSearch(const Group& block, const LatticeSpec& spec) : spec_(spec) {
    for (int u = 0; u < kUnits; ++u)
      units_[u].read(block.x + u * Unit::kElements, block.w + u * Unit::kElements);
    for (int g = 0; g < kGroups; ++g) find_wish(block.part(g * kGroup, kGroup), g);
  }

  Block best_block() const {
    const float scale = promising_scale();
    if (scale == 0) return zeros();
    Try tried = code_at(scale);
    while (refit(tried)) {
    }
    return tried.loss < 0 ? Block{float_to_half(tried.scale), tried.subs, tried.codes} : zeros();
  }

 private:
  static constexpr int kUnits = 256 / Unit::kElements;
  static constexpr int kGroups = 256 / kGroup;
  static constexpr int kGroupUnits = kGroup / Unit::kElements;
  /// A neighbour sub-scale is tried when the wish lies no further from it, in steps of s.
  static constexpr float kReach = 0.7f;
  /// Weights are about equal when the largest is below this many root mean squares.
  static constexpr float kFlat = 1.1f;
  using Codes = std::array<typename Unit::Code, kUnits>;

  struct Try {
    float scale = 0;  ///< a binary16 value
    float loss = 0;   ///< the weighted squared error less that of all zeros
    std::array<std::uint8_t, 16> subs{};
    std::array<LatticeSums, kGroups> sums{};
    Codes codes;
  };

  static float odd(int s) { return static_cast<float>(2 * s + 1); }
  float size_of(float scale, int s) const { return scale * spec_.unit * odd(s); }

  LatticeSums code_group(int g, float t, Codes& codes) const {
    LatticeSums sums;
    for (int u = g * kGroupUnits; u < (g + 1) * kGroupUnits; ++u)
      sums += units_[u].code_at(t, codes[u]);
    return sums;
  }

  void find_wish(const Group& group, int g) {
    float xx = 0, ww = 0, largest = 0;
    for (int i = 0; i < kGroup; ++i) {
      largest = std::max(largest, std::fabs(group.x[i]));
      xx += group.w[i] * group.x[i] * group.x[i];
      ww += group.w[i];
    }
    if (!(xx > 0)) return;
    const float size = std::sqrt(xx / ww);
    float best_gain = 0;
    const auto take = [&](float t) {
      const LatticeSums sums = code_group(g, t, codes_);
      if (!(sums.xq > 0) || !(sums.qq > 0)) return;
      const float fitted = sums.xq / sums.qq;
      if (!(fitted * sums.xq > best_gain)) return;
      best_gain = fitted * sums.xq;
      wishes_[g] = fitted;
      curvatures_[g] = sums.qq;
    };
    for (const float start : spec_.starts) {
      if (start > 0) take(size * start);
    }
    if (largest < kFlat * size) take(size / static_cast<float>(spec_.lowest));
    if (wishes_[g] > 0) take(wishes_[g]);
  }

  int nearest_sub(float wish, float scale) const {
    const float s = std::nearbyint((wish / (scale * spec_.unit) - 1) / 2);
    return static_cast<int>(std::clamp(s, 0.0f, static_cast<float>(spec_.subs - 1)));
  }

  /// The scale of least estimated error; 0 when no group wishes one.
  float promising_scale() const {
    const float largest = *std::ranges::max_element(wishes_);
    if (!(largest > 0)) return 0;
    float best = 0;
    double least = std::numeric_limits<double>::infinity();
    for (int s = spec_.subs - 1; s >= spec_.subs / 4; --s) {
      // As the largest wish says, then refitted to all.
      float scale = half_to_float(storable_half(largest / (odd(s) * spec_.unit)));
      for (int turn = 0; turn < 2; ++turn) {
        double loss = 0, sx = 0, ss = 0;
        for (int g = 0; g < kGroups; ++g) {
          const double step = odd(nearest_sub(wishes_[g], scale)) * spec_.unit;
          const double miss = wishes_[g] - scale * step;
          loss += curvatures_[g] * miss * miss;
          sx += curvatures_[g] * step * wishes_[g];
          ss += curvatures_[g] * step * step;
        }
        if (loss < least) {
          least = loss;
          best = scale;
        }
        scale = half_to_float(storable_half(static_cast<float>(sx / ss)));
      }
    }
    return best;
  }

  /// Sub-scales next to the wishes, the best of them exactly.
  Try code_at(float scale) const {
    Try tried{.scale = scale, .codes = codes_};
    Codes trial = codes_;
    for (int g = 0; g < kGroups; ++g) {
      const float wish = (wishes_[g] / (scale * spec_.unit) - 1) / 2;
      const int near = nearest_sub(wishes_[g], scale);
      float least = std::numeric_limits<float>::infinity();
      for (int s = std::max(near - 1, 0); s <= std::min(near + 1, spec_.subs - 1); ++s) {
        if (s != near && std::fabs(static_cast<float>(s) - wish) > kReach) continue;
        const LatticeSums sums = code_group(g, size_of(scale, s), trial);
        const float loss = sums.loss(size_of(scale, s));
        if (!(loss < least)) continue;
        least = loss;
        tried.subs[g] = static_cast<std::uint8_t>(s);
        tried.sums[g] = sums;
        std::copy_n(trial.begin() + g * kGroupUnits, kGroupUnits,
                    tried.codes.begin() + g * kGroupUnits);
      }
      tried.loss += least;
    }
    return tried;
  }

  /// The scale of least squares for the codes at hand, and codes for that; false when it no longer
  /// helps.
  bool refit(Try& tried) const {
    double sx = 0, ss = 0;
    for (int g = 0; g < kGroups; ++g) {
      const double step = odd(tried.subs[g]) * spec_.unit;
      sx += step * tried.sums[g].xq;
      ss += step * step * tried.sums[g].qq;
    }
    if (!(sx > 0) || !(ss > 0)) return false;
    const float scale = half_to_float(storable_half(static_cast<float>(sx / ss)));
    if (scale == tried.scale) return false;
    Try next = tried;
    next.scale = scale;
    next.loss = 0;
    for (int g = 0; g < kGroups; ++g) {
      const float t = size_of(scale, next.subs[g]);
      next.sums[g] = code_group(g, t, next.codes);
      next.loss += next.sums[g].loss(t);
    }
    if (!(next.loss < tried.loss)) return false;
    tried = next;
    return true;
  }

  /// Codes without a negative value, so that zeros decode to +0.
  Block zeros() const {
    std::array<float, Unit::kElements> ones;
    ones.fill(1);
    Unit unit;
    unit.read(ones.data(), ones.data());
    Block block;
    unit.code_at(1.0f / static_cast<float>(spec_.lowest), block.codes[0]);
    block.codes.fill(block.codes[0]);
    return block;
  }

  const LatticeSpec& spec_;
  std::array<Unit, kUnits> units_;
  Codes codes_{};                            ///< good starts for the next search
  std::array<float, kGroups> wishes_{};      ///< each group's best scale times odd sub-scale
  std::array<float, kGroups> curvatures_{};  ///< its error grows with this times the miss squared
};

/// `pack(lattice_block, block)` fills the format's struct.
template <class Block, class Unit, const LatticeSpec& kSpec, class Pack>
void encode_lattice_blocks(const float* in, std::size_t n_blocks, const float* importance,
                           std::uint8_t* blocks, Pack pack) {
  encode_blocks<Block, 256>(in, n_blocks, importance, blocks, [&](const Group& group, Block& out) {
    const auto found = LatticeBlockSearch<Unit, kSpec.group_elements>(group, kSpec).best_block();
    pack(found, out);
  });
}

}  // namespace checkbit
