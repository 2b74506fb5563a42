// How the IQ1 formats put lattice rows together.
//
// What: rows of -1, 0, 1 shifted by an eighth up or down. Times 8 that is an integer:
//   8 * row[i] + 1 or - 1, which lies in -9 .. 9.
// Threads: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>

#include "formats/iq_grids.h"

namespace checkbit {

inline constexpr int kIq1Offset = 9;

/// Row `number` of the lattice, shifted down when `down` and else up -> q [8], offset by
/// kIq1Offset.
inline void put_iq1_row(unsigned number, bool down, std::uint8_t* q) {
  const int shift = kIq1Offset + (down ? -1 : 1);
  for (std::size_t i = 0; i < 8; ++i) {
    q[i] = static_cast<std::uint8_t>(8 * kIq1Grid[number][i] + shift);
  }
}

}  // namespace checkbit
