// The 12 bytes in which Q4_K and Q5_K keep eight 6-bit sub-scales and eight 6-bit sub-minima.
//
// Layout, for j = 0 .. 3 (S = sub-scale, M = sub-minimum, bits from high to low):
//   byte j      S[j+4] bits 5..4 | S[j] bits 5..0
//   byte 4 + j  M[j+4] bits 5..4 | M[j] bits 5..0
//   byte 8 + j  M[j+4] bits 3..0 | S[j+4] bits 3..0
// Threads: pure functions.
#pragma once

#include <array>
#include <cstdint>

namespace checkbit {

using KScaleBytes = std::array<std::uint8_t, 12>;

/// bytes -> sub_scale [8], sub_min [8], each 0 .. 63. `Integer` is an integer type.
template <class Integer>
inline void unpack_k_scales(const KScaleBytes& bytes, Integer* sub_scale, Integer* sub_min) {
  for (int j = 0; j < 4; ++j) {
    sub_scale[j] = static_cast<Integer>(bytes[j] & 63);
    sub_min[j] = static_cast<Integer>(bytes[4 + j] & 63);
    sub_scale[j + 4] = static_cast<Integer>((bytes[8 + j] & 15) | ((bytes[j] >> 2) & 48));
    sub_min[j + 4] = static_cast<Integer>((bytes[8 + j] >> 4) | ((bytes[4 + j] >> 2) & 48));
  }
}

/// The inverse. Precondition: all values 0 .. 63.
template <class Integer>
inline KScaleBytes pack_k_scales(const Integer* sub_scale, const Integer* sub_min) {
  KScaleBytes bytes{};
  for (int j = 0; j < 4; ++j) {
    bytes[j] = static_cast<std::uint8_t>(sub_scale[j] | ((sub_scale[j + 4] & 48) << 2));
    bytes[4 + j] = static_cast<std::uint8_t>(sub_min[j] | ((sub_min[j + 4] & 48) << 2));
    bytes[8 + j] =
        static_cast<std::uint8_t>((sub_scale[j + 4] & 15) | ((sub_min[j + 4] & 15) << 4));
  }
  return bytes;
}

}  // namespace checkbit
