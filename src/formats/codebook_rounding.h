// Rounding to scale * value, value one of the 16 of IQ4_NL and IQ4_XS.
//
// What: the scale, of either sign, and the codes of least weighted squared error
//     sum of w[i] * (x[i] - scale * value[code[i]])^2.
// How: as the scale shrinks from one that leaves the table's ends unused to one that cuts the
// largest
//   weight off, each weight steps from code to code at known scales. Taking these steps in order
//   and updating two sums finds the best scale of all, not of a few tried.
// Preconditions: groups of `kCodebookGroup` values from prepare_block (rounding.h).
// Threads: pure functions.
#pragma once

#include <cstdint>

#include "formats/rounding.h"

namespace checkbit {

inline constexpr int kCodebookGroup = 32;

/// Weighted sums over the codes nearest to x / scale, q being their table values.
struct CodebookSums {
  float xq = 0;  ///< sum w * x * q
  float qq = 0;  ///< sum w * q * q
};
CodebookSums codebook_sums(const Group& group, float scale);

/// The weighted squared error at a scale (0 allowed) with the nearest codes.
float codebook_error(const Group& group, float scale);

/// The nearest codes -> codes [32]. A zero scale gives the code of +1, so that zeros decode to +0.
void codebook_codes(const Group& group, float scale, std::uint8_t* codes);

/// The best scale. 0 when every value is too small for a binary16 scale.
float best_codebook_scale(const Group& group);

/// The best scale among the halves near it; finite.
std::uint16_t best_codebook_half(const Group& group);

}  // namespace checkbit
