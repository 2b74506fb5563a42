// What Q8_1 and Q8_K share: signed bytes under a binary32 scale at byte 0.
//
// Threads: pure functions.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"

namespace checkbit {

/// q[i] = quants[i] + 128.
template <std::size_t kValues>
inline void unpack_signed_bytes(const std::array<std::int8_t, kValues>& quants, std::uint8_t* q) {
  for (std::size_t i = 0; i < kValues; ++i) q[i] = static_cast<std::uint8_t>(quants[i] + 128);
}

/// Also false when the scale is so large that scale * -128 overflows.
inline bool float_scale_is_finite(const std::uint8_t* block) {
  return std::isfinite(load_unaligned<float>(block) * 128.0f);
}

}  // namespace checkbit
