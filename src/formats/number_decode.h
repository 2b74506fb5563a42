// Decode for types that store one plain number per value.
//
// Threads: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"

namespace checkbit {

/// `Format::decode`: little-endian numbers to float, rounded to nearest even.
template <class Number>
void decode_numbers(const std::uint8_t* blocks, std::size_t n_blocks, float* out) {
  for (std::size_t i = 0; i < n_blocks; ++i) {
    out[i] = static_cast<float>(load_unaligned<Number>(blocks + i * sizeof(Number)));
  }
}

/// `Format::is_finite` of integers.
inline bool always_finite(const std::uint8_t*) { return true; }

}  // namespace checkbit
