// Where full-precision weights lie inside the rounding intervals of a type.
//
// What: a weight w between two levels of its block has a position p in -1/2 .. 1/2, its distance in
//   steps from the level it is rounded to. Weights that nobody placed are spread smoothly. Whoever
//   makes a model decode to something else must carry weights over the turning points and leaves
//   them near it, or presses them against the ends of the intervals that keep the codes: a crowd in
//   few bins of a histogram of |p|.
//   Encoders fit their scales, so the histogram of honest weights is not flat. What it should be is
//   found by doing it: the same weights, each moved by a random part of a step, are encoded again.
//   That blurs whatever was placed inside a step and leaves the rest. The figure is the largest
//   share of all weights by which a stretch of bins exceeds the blurred one's, with its error.
// Lattices: weights that were quantized before lie on few values, and their positions say nothing;
//   `on_lattice` says so and nothing is judged.
// Limits: who moves few weights, or spreads them like their neighbours, is not seen here: that is
//   what the divergence between a model and its quantization is for.
// Threads: pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/random.h"
#include "formats/format.h"

namespace checkbit {

inline constexpr int kPositionBins = 64;  ///< of |p|, over 0 .. 1/2

struct PositionHistogram {
  std::array<std::uint64_t, kPositionBins> bins{};
  std::uint64_t weights = 0;  ///< with a level on either side
  void add(const PositionHistogram& other);
};

/// Adds the weights in [block_elements] as `block` encodes them. Only evenly spaced levels and
/// weights between two of them count. Precondition: has_positions(format).
void add_positions(const Format& format, const std::uint8_t* block, const float* weights,
                   PositionHistogram& histogram);
/// Evenly spaced levels, all of them in use, with a scale of their own.
bool has_positions(const Format& format);

struct PositionResult {
  const Format* format = nullptr;
  PositionHistogram histogram;
  PositionHistogram blurred;
  std::uint64_t weights = 0;
  double excess = 0;    ///< share of the weights, in the worst stretch beyond the blurred one's
  double error = 0;     ///< standard error of the same
  double position = 0;  ///< of that stretch's middle, 0 .. 1/2
  bool on_lattice = false;
  bool crafted = false;
};

/// The worst stretch of bins. `crafted` when its excess is over kCrowdShare and kCrowdErrors of its
/// errors.
PositionResult judge_positions(const PositionHistogram& histogram,
                               const PositionHistogram& blurred);
/// The same of all tensors of a model together, for crowds of few weights: looks at narrow
/// stretches near the turning points alone, where honest weights differ from blurred ones least.
PositionResult judge_pooled(const PositionHistogram& histogram, const PositionHistogram& blurred);

inline constexpr double kPooledShare = 0.0001;
inline constexpr double kCrowdShare = 0.004;
inline constexpr double kCrowdErrors = 7;

/// Moves each weight by a random part of its step in `block`, up to half of it either way.
void blur(const Format& format, const std::uint8_t* block, Random& random, float* weights);

/// Whether these weights take so few values that they were quantized before: in most runs of 256, a
/// largest common step fits all.
bool lies_on_lattice(std::span<const float> weights);

}  // namespace checkbit
