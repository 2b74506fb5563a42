// Small integers packed side by side in bytes.
//
// What: every GGUF block stores its 1, 2 or 4 bit integers in the same pattern. The bytes come in
//   chunks of `kStride`; a chunk first gives kStride integers from its lowest bits, then kStride
//   from the next bits, and so on. For integer number i of chunk c, with plane p = i / kStride:
//       q[c * kStride * planes + i] = bytes[c * kStride + i % kStride] >> (kBits * p), low kBits
//   where planes = 8 / kBits. kStride 1 is plain little-endian bit order.
// Wider integers (3, 5, 6 bits) are two such arrays; `kShift` puts the second above the first.
// Threads: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>

namespace checkbit {

/// packed [kBytes] -> q [kBytes * 8 / kBits]; each integer is OR-ed into q after a left shift by
/// kShift when kShift > 0, and stored when kShift = 0.
template <int kBits, int kStride, int kBytes, int kShift = 0>
inline void unpack_planes(const std::uint8_t* packed, std::uint8_t* q) {
  static_assert(kBytes % kStride == 0 && 8 % kBits == 0);
  constexpr int kPlanes = 8 / kBits;
  constexpr int kMask = (1 << kBits) - 1;
  for (int chunk = 0; chunk < kBytes / kStride; ++chunk) {
    const std::uint8_t* from = packed + chunk * kStride;
    for (int plane = 0; plane < kPlanes; ++plane) {
      std::uint8_t* to = q + (chunk * kPlanes + plane) * kStride;
      for (int i = 0; i < kStride; ++i) {
        const int value = ((from[i] >> (kBits * plane)) & kMask) << kShift;
        to[i] = static_cast<std::uint8_t>(kShift == 0 ? value : (to[i] | value));
      }
    }
  }
}

/// The inverse: bits kShift .. kShift + kBits - 1 of each q [kBytes * 8 / kBits] -> packed
/// [kBytes].
template <int kBits, int kStride, int kBytes, int kShift = 0>
inline void pack_planes(const std::uint8_t* q, std::uint8_t* packed) {
  static_assert(kBytes % kStride == 0 && 8 % kBits == 0);
  constexpr int kPlanes = 8 / kBits;
  constexpr int kMask = (1 << kBits) - 1;
  for (int chunk = 0; chunk < kBytes / kStride; ++chunk) {
    for (int i = 0; i < kStride; ++i) {
      int byte = 0;
      for (int plane = 0; plane < kPlanes; ++plane) {
        const int value = (q[(chunk * kPlanes + plane) * kStride + i] >> kShift) & kMask;
        byte |= value << (kBits * plane);
      }
      packed[chunk * kStride + i] = static_cast<std::uint8_t>(byte);
    }
  }
}

}  // namespace checkbit
