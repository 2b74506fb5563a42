// Which bits fall: numbers drawn from a seed, for whatever is to be damaged.
//
// What: `draw_bits` gives every number below `total` with the same probability, each independently
// of the
//   others, in rising order. It takes time in proportion to what it gives: gaps are geometric.
// Threads: pure, but for the generator.
#pragma once

#include <cstdint>
#include <vector>

#include "base/random.h"

namespace checkbit {

/// Precondition: 0 < rate < 1.
std::vector<std::uint64_t> draw_bits(double rate, std::uint64_t total, Random& random);

}  // namespace checkbit
