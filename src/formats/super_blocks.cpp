#include "formats/super_blocks.h"

#include <algorithm>
#include <cmath>

#include "base/float16.h"

namespace checkbit {
namespace {

constexpr int kElements = 256;
constexpr int kMaxTurns = 4;

/// One choice of d, m, S and M with its error. The levels follow from it.
struct Choice {
  std::uint16_t scale = 0;
  std::uint16_t minimum = 0;
  std::array<int, 16> sub_scale{};
  std::array<int, 16> sub_min{};
  float error = -1;  ///< < 0: no choice yet

  Affine sub(int j) const {
    return {half_to_float(scale) * static_cast<float>(sub_scale[j]),
            -half_to_float(minimum) * static_cast<float>(sub_min[j])};
  }
  bool beats(const Choice& other) const { return other.error < 0 || error < other.error; }
};

/// The block, its sub-blocks and what each would like best.
class Search {
 public:
  Search(const Group& group, const SuperSpec& spec) : group_(group), spec_(spec) {
    for (int j = 0; j < subs(); ++j) values_[j] = value_sums(sub(j));
  }

  int subs() const { return kElements / spec_.sub_elements; }
  Group sub(int j) const { return group_.part(j * spec_.sub_elements, spec_.sub_elements); }

  SuperBlock run_scaled();
  SuperBlock run_affine();

 private:
  Choice choose_scaled(std::uint16_t scale) const;
  Choice choose_affine(std::uint16_t scale, std::uint16_t minimum) const;
  void choose_sub_affine(int j, float scale, float minimum, Choice& choice) const;
  std::uint16_t refit_scale(const Choice& choice) const;
  Choice refit_affine(const Choice& choice) const;
  SuperBlock finish(const Choice& choice) const;

  Group group_;
  SuperSpec spec_;
  std::array<Affine, 16> wish_{};  ///< the best real scale and offset of each sub-block
  std::array<ValueSums, 16> values_{};
};

/// floor(wish), floor(wish) + 1, both put into low .. high; equal ones are tried twice, no harm
/// done. A wish that is no number (weights that are zero throughout) counts as low.
std::array<int, 2> neighbours(float wish, int low, int high) {
  const float least = static_cast<float>(low);
  const float bounded = wish > least ? std::min(std::floor(wish), static_cast<float>(high)) : least;
  const int below = static_cast<int>(bounded);
  return {below, std::min(below + 1, high)};
}

Choice Search::choose_scaled(std::uint16_t scale) const {
  Choice choice{.scale = scale, .error = 0};
  const float d = half_to_float(scale);
  for (int j = 0; j < subs(); ++j) {
    float least = -1;
    const float wish = d == 0 ? 0 : wish_[j].scale / d;
    for (const int s : neighbours(wish, spec_.sub_low, spec_.sub_high)) {
      const float error = weighted_error(sub(j), spec_.levels, {d * static_cast<float>(s), 0});
      if (least >= 0 && error >= least) continue;
      least = error;
      choice.sub_scale[j] = s;
    }
    choice.error += least;
  }
  return choice;
}

std::uint16_t Search::refit_scale(const Choice& choice) const {
  float numerator = 0;
  float denominator = 0;
  for (int j = 0; j < subs(); ++j) {
    const LevelSums sums = level_sums(sub(j), spec_.levels, choice.sub(j));
    const float s = static_cast<float>(choice.sub_scale[j]);
    numerator += s * sums.xl;
    denominator += s * s * sums.ll;
  }
  return denominator > 0 ? storable_half(numerator / denominator) : choice.scale;
}

SuperBlock Search::run_scaled() {
  float extreme = 0;
  for (int j = 0; j < subs(); ++j) {
    wish_[j].scale = best_scale(sub(j), spec_.levels);
    if (std::fabs(wish_[j].scale) > std::fabs(extreme)) extreme = wish_[j].scale;
  }
  Choice best = choose_scaled(0);
  if (extreme == 0) return finish(best);
  // The largest sub-scale takes the lowest integer or one a little nearer to zero.
  const float step = spec_.sub_high > 31 ? 1.0f : 0.5f;
  constexpr int kTrials = 8;
  for (int trial = 0; trial < kTrials; ++trial) {
    const float outermost = static_cast<float>(spec_.sub_low) + step * static_cast<float>(trial);
    const Choice choice = choose_scaled(storable_half(extreme / outermost));
    if (choice.beats(best)) best = choice;
  }
  for (int turn = 0; turn < kMaxTurns; ++turn) {
    const Choice choice = choose_scaled(refit_scale(best));
    if (!choice.beats(best)) break;
    best = choice;
  }
  return finish(best);
}

void Search::choose_sub_affine(int j, float scale, float minimum, Choice& choice) const {
  const Group values = sub(j);
  float least = -1;
  const float wish = scale == 0 ? 0 : wish_[j].scale / scale;
  for (const int s : neighbours(wish, 0, spec_.sub_high)) {
    const float step = scale * static_cast<float>(s);
    const LevelSums sums = level_sums(values, spec_.levels, {step, wish_[j].offset});
    const float offset = (values_[j].x - step * sums.l) / values_[j].w;
    const float wanted = minimum == 0 ? 0 : -offset / minimum;
    for (const int m : neighbours(wanted, 0, spec_.sub_high)) {
      const Affine affine{step, -minimum * static_cast<float>(m)};
      const float error = weighted_error(values, spec_.levels, affine);
      if (least >= 0 && error >= least) continue;
      least = error;
      choice.sub_scale[j] = s;
      choice.sub_min[j] = m;
    }
  }
  choice.error += least;
}

Choice Search::choose_affine(std::uint16_t scale, std::uint16_t minimum) const {
  Choice choice{.scale = scale, .minimum = minimum, .error = 0};
  for (int j = 0; j < subs(); ++j) {
    choose_sub_affine(j, half_to_float(scale), half_to_float(minimum), choice);
  }
  return choice;
}

/// Least squares for d and m with S, M and the levels of `choice` held.
Choice Search::refit_affine(const Choice& choice) const {
  double ss = 0, sm = 0, mm = 0, xs = 0, xm = 0;
  for (int j = 0; j < subs(); ++j) {
    const LevelSums sums = level_sums(sub(j), spec_.levels, choice.sub(j));
    const double s = choice.sub_scale[j];
    const double m = choice.sub_min[j];
    ss += s * s * sums.ll;
    sm += s * m * sums.l;
    mm += m * m * values_[j].w;
    xs += s * sums.xl;
    xm += m * values_[j].x;
  }
  const double determinant = ss * mm - sm * sm;
  double d = ss > 0 ? xs / ss : 0;
  double minimum = 0;
  if (determinant > 1e-9 * ss * mm) {
    d = (xs * mm - xm * sm) / determinant;
    minimum = (xs * sm - xm * ss) / determinant;
  }
  return choose_affine(storable_half(static_cast<float>(std::max(d, 0.0))),
                       storable_half(static_cast<float>(std::max(minimum, 0.0))));
}

SuperBlock Search::run_affine() {
  float largest_scale = 0;
  float largest_minimum = 0;
  for (int j = 0; j < subs(); ++j) {
    wish_[j] = best_affine(sub(j), spec_.levels, OffsetSign::not_positive);
    largest_scale = std::max(largest_scale, wish_[j].scale);
    largest_minimum = std::max(largest_minimum, -wish_[j].offset);
  }
  Choice best = choose_affine(0, 0);
  if (best.error == 0) return finish(best);
  // The largest sub-scale and sub-minimum take the highest integer or one a little lower.
  const float high = static_cast<float>(spec_.sub_high);
  const float step = spec_.sub_high > 31 ? 1.0f : 0.5f;
  constexpr int kTrials = 5;
  for (int trial = 0; trial < kTrials; ++trial) {
    const float outermost = high - step * static_cast<float>(trial - 1);
    const Choice choice = choose_affine(storable_half(largest_scale / outermost),
                                        storable_half(largest_minimum / high));
    if (choice.beats(best)) best = choice;
  }
  for (int trial = 0; trial < kTrials; ++trial) {
    const float outermost = high - step * static_cast<float>(trial - 1);
    const Choice choice = choose_affine(best.scale, storable_half(largest_minimum / outermost));
    if (choice.beats(best)) best = choice;
  }
  for (int turn = 0; turn < kMaxTurns; ++turn) {
    const Choice choice = refit_affine(best);
    if (!choice.beats(best)) break;
    best = choice;
  }
  return finish(best);
}

SuperBlock Search::finish(const Choice& choice) const {
  SuperBlock block{.scale = choice.scale,
                   .minimum = choice.minimum,
                   .sub_scale = choice.sub_scale,
                   .sub_min = choice.sub_min};
  for (int j = 0; j < subs(); ++j) {
    round_to_levels(sub(j), spec_.levels, choice.sub(j), block.q.data() + j * spec_.sub_elements);
  }
  return block;
}

}  // namespace

SuperBlock encode_super_scaled(const Group& group, const SuperSpec& spec) {
  return Search(group, spec).run_scaled();
}

SuperBlock encode_super_affine(const Group& group, const SuperSpec& spec) {
  return Search(group, spec).run_affine();
}

}  // namespace checkbit
