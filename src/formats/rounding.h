// Rounding weights to few levels: the one search that all encoders share.
//
// What: given a group of n values x with weights w >= 0 and integer levels low .. high, find the
//   numbers a format stores so that  sum w * (x - (scale * level + offset))^2  is small, each value
//   taking its nearest level. Scales alone (`best_scale`) for formats without minimum, scale and
//   offset together (`best_affine`) for those with one.
// How: a grid of starting scales, each scored by the exact least-squares fit for the levels it
//   gives; the winners are improved by turns of rounding and refitting (Lloyd's method with levels
//   on a line). Formats then try the few storable neighbours with `weighted_error`, which is exact.
// Numbers: sums run in four lanes in a fixed order, so the bytes written are the same on every
//   machine. Inputs of prepare_block may be any finite floats; nothing here overflows.
// Threads: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"

namespace checkbit {

/// n values with their weights; n is a multiple of 4. Does not own.
struct Group {
  const float* x = nullptr;  ///< [n]
  const float* w = nullptr;  ///< [n], >= 0, not all zero
  int n = 0;

  Group part(int start, int count) const { return {x + start, w + start, count}; }
};

/// One block copied for encoding: values bounded, weights scaled to a largest of 1.
struct PreparedBlock {
  alignas(16) float x[256];
  alignas(16) float w[256];

  Group group(int n) const { return {x, w, n}; }
};

/// in [n], importance null or [n] -> block. Values beyond +-2^40 are cut there and values below
/// 2^-100 are zero: no half scale reaches so far, and the sums stay finite. Null, all-zero or
/// non-finite importance counts as all ones. Precondition: n <= 256.
void prepare_block(const float* in, const float* importance, int n, PreparedBlock& block);

/// The loop of every encoder: `encode_one(group, block)` for each block of kElements values.
template <class Block, int kElements, class EncodeOne>
void encode_blocks(const float* in, std::size_t n_blocks, const float* importance,
                   std::uint8_t* blocks, EncodeOne encode_one) {
  PreparedBlock prepared;
  for (std::size_t i = 0; i < n_blocks; ++i) {
    const float* weights = importance == nullptr ? nullptr : importance + i * kElements;
    prepare_block(in + i * kElements, weights, kElements, prepared);
    Block block{};
    encode_one(prepared.group(kElements), block);
    store_unaligned(blocks + i * sizeof(Block), block);
  }
}

struct Levels {
  int low = 0;
  int high = 0;
};

/// A value is scale * level + offset.
struct Affine {
  float scale = 0;
  float offset = 0;
};

/// The scale, of either sign, for values scale * level. 0 for a group of zeros.
float best_scale(const Group& group, Levels levels);

enum class OffsetSign { any, not_positive };

/// Scale >= 0 and offset for values scale * level + offset. Precondition: levels.low = 0.
Affine best_affine(const Group& group, Levels levels, OffsetSign sign);

/// The weighted squared error with every value at its nearest level.
float weighted_error(const Group& group, Levels levels, Affine affine);

/// Weighted sums for the nearest levels l of (x - offset) / scale, scale being 1 / inverse.
struct LevelSums {
  float l = 0;   ///< sum w * l
  float ll = 0;  ///< sum w * l * l
  float xl = 0;  ///< sum w * x * l
};
LevelSums level_sums(const Group& group, Levels levels, Affine affine);

/// Sums that do not depend on levels.
struct ValueSums {
  float w = 0;  ///< sum w
  float x = 0;  ///< sum w * x
};
ValueSums value_sums(const Group& group);

/// Nearest levels as stored: q [n] = level - levels.low.
void round_to_levels(const Group& group, Levels levels, Affine affine, std::uint8_t* q);

/// The nearest half that is finite.
std::uint16_t finite_half(float value);

/// The nearest half that is finite, and not zero unless the scale is: tiny scales become the
/// smallest subnormal, which the callers' error comparison may still turn down.
std::uint16_t storable_half(float scale);

/// Scales of a few bits are halves without their lowest bits: the largest such code, up to
/// `largest`, whose half `code << dropped_bits` is not above `scale`.
int half_code_at_most(float scale, int dropped_bits, int largest);

/// The half that serves as scale of values scale * level with least error.
std::uint16_t best_half_scale(const Group& group, Levels levels);

struct HalfAffine {
  std::uint16_t scale = 0;
  std::uint16_t offset = 0;
};

/// The halves for values scale * level + offset, with scale >= 0. Precondition: levels.low = 0.
HalfAffine best_half_affine(const Group& group, Levels levels);

}  // namespace checkbit
