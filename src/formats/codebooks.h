// The 16 values that 4-bit table formats index, shifted to be unsigned.
//
// What: facts of the file formats. A weight is scale * (table[code] - offset).
// Threads: constants.
#pragma once

#include <array>
#include <cstdint>

namespace checkbit {

/// IQ4_NL and IQ4_XS: an uneven ladder, denser near zero; -127 .. 113 without a zero.
inline constexpr int kIq4Offset = 128;
inline constexpr std::array<std::uint8_t, 16> kIq4Table = {1,   24,  45,  63,  79,  93,  106, 118,
                                                           129, 141, 153, 166, 181, 197, 217, 241};

/// MXFP4 and NVFP4: the E2M1 floats doubled, so that they are integers: 0 1 2 3 4 6 8 12, then the
/// same negated. Code 8, minus zero, decodes to plain zero.
inline constexpr int kE2m1Offset = 12;
inline constexpr std::array<std::uint8_t, 16> kE2m1Table = {12, 13, 14, 15, 16, 18, 20, 24,
                                                            12, 11, 10, 9,  8,  6,  4,  0};

}  // namespace checkbit
