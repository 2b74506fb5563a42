// Rounding to -scale, 0 and +scale.
//
// What: the scale and signs of least weighted squared error. For any scale a weight is worth
// keeping
//   exactly when its size exceeds half the scale, so the kept weights are the k largest for some k,
//   and their scale is their weighted mean size; every k is tried.
// Preconditions: inputs finite, importance null or >= 0.
// Threads: pure functions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace checkbit {

inline constexpr std::size_t kTernaryBlock = 256;

struct TernaryBlock {
  std::uint16_t scale = 0;                        ///< binary16, finite, >= 0
  std::array<std::uint8_t, kTernaryBlock> codes;  ///< 0, 1, 2 for -scale, 0, +scale
};

/// in [256], importance null or [256].
TernaryBlock round_to_ternary(const float* in, const float* importance);

}  // namespace checkbit
