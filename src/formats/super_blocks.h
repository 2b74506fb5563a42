// Encoding the K formats: a block of 256 weights with integer sub-scales (and sub-minima).
//
// What: finds the half scale d (and half minimum m) of a block and for each sub-block an integer S
//   (and M) so that  w = d * S * level - m * M  has a small weighted squared error.
// How: each sub-block is fitted alone with real numbers (rounding.h); several d are tried, each
//   sub-block taking the best of the integers next to its wish; then d and m are refitted by least
//   squares for the integers and levels found, by turns, as long as the error falls.
// Threads: pure functions.
#pragma once

#include <array>
#include <cstdint>

#include "formats/rounding.h"

namespace checkbit {

/// What distinguishes the K formats for the search.
struct SuperSpec {
  Levels levels;
  int sub_elements = 16;  ///< 16 or 32
  int sub_low = 0;        ///< range of S; M has the range 0 .. sub_high
  int sub_high = 0;
};

struct SuperBlock {
  std::uint16_t scale = 0;          ///< d, binary16
  std::uint16_t minimum = 0;        ///< m, binary16; formats with minima only
  std::array<int, 16> sub_scale{};  ///< S [256 / sub_elements]
  std::array<int, 16> sub_min{};    ///< M
  std::array<std::uint8_t, 256> q;  ///< level - levels.low
};

/// Formats without minima. group: 256 values. Precondition: sub_low = -sub_high - 1.
SuperBlock encode_super_scaled(const Group& group, const SuperSpec& spec);

/// Formats with minima. Preconditions: group of 256 values, levels.low = 0, sub_low = 0.
SuperBlock encode_super_affine(const Group& group, const SuperSpec& spec);

}  // namespace checkbit
