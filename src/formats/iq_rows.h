// How the IQ2 and IQ3 formats put lattice rows together.
//
// What: a row of magnitudes and one sign bit per value become unsigned integers around an offset.
// Threads: pure functions.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace checkbit {

/// q[i] = offset + row[i], or offset - row[i] where bit i of `signs` is set.
template <std::size_t kValues>
inline void put_signed_row(const std::array<std::uint8_t, kValues>& row, unsigned signs, int offset,
                           std::uint8_t* q) {
  for (std::size_t i = 0; i < kValues; ++i) {
    q[i] = static_cast<std::uint8_t>((signs >> i) & 1u ? offset - row[i] : offset + row[i]);
  }
}

/// Eight sign bits from seven stored ones: the number of minus signs in a row of 8 is even.
inline unsigned with_parity_sign(unsigned seven_bits) {
  const unsigned bits = seven_bits & 0x7fu;
  return bits | (static_cast<unsigned>(std::popcount(bits)) & 1u) << 7;
}

/// The IQ sub-scale 2 s + 1 of a 3 or 4 bit s.
inline std::int16_t odd_scale(unsigned s) { return static_cast<std::int16_t>(2 * s + 1); }

/// Two 4-bit sub-scales per byte, low one first: bytes [n / 2] -> subs [n].
template <std::size_t kBytes>
inline void unpack_odd_scales(const std::array<std::uint8_t, kBytes>& bytes, std::int16_t* subs) {
  for (std::size_t i = 0; i < kBytes; ++i) {
    subs[2 * i] = odd_scale(bytes[i] & 15u);
    subs[2 * i + 1] = odd_scale(bytes[i] >> 4);
  }
}

/// The way back: values [2 n] < 16 -> bytes [n].
template <std::size_t kValues, std::size_t kBytes>
inline void pack_nibbles(const std::array<std::uint8_t, kValues>& values,
                         std::array<std::uint8_t, kBytes>& bytes) {
  static_assert(kValues >= 2 * kBytes);
  for (std::size_t i = 0; i < kBytes; ++i)
    bytes[i] = static_cast<std::uint8_t>(values[2 * i] | values[2 * i + 1] << 4);
}

/// Sets bits that are zero.
template <class Word>
inline void add_bits(Word& word, unsigned bits, std::size_t at) {
  word = static_cast<Word>(word | bits << at);
}

}  // namespace checkbit
