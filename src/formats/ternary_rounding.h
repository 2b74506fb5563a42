// Rounding to -scale, 0 and +scale.
//
// What: the scale and signs of least weighted squared error. For any scale a weight is worth
// keeping
//   exactly when its size exceeds half the scale, so the kept weights are the k largest for some k,
//   and their scale is their weighted mean size; every k is tried.
// Precondition: groups of `kTernaryBlock` values from prepare_block (rounding.h).
// Threads: pure functions.
#pragma once

#include <array>
#include <cstdint>

#include "formats/rounding.h"

namespace checkbit {

inline constexpr int kTernaryBlock = 256;

struct TernaryBlock {
  std::uint16_t scale = 0;                        ///< binary16, finite, >= 0
  std::array<std::uint8_t, kTernaryBlock> codes;  ///< 0, 1, 2 for -scale, 0, +scale
};

TernaryBlock round_to_ternary(const Group& group);

}  // namespace checkbit
