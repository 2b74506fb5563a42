// Where a rising probability crosses a target, found with few trials.
//
// What: n coins stand in order of rising, unknown chances of heads (a model broken at bit error
// rate
//   i); the search finds neighbours between which the chance passes `target`, give or take `slack`.
//   A posterior over the n + 1 gaps is kept; each flip is of the coin where it tells most under the
//   channel of chances target - slack and target + slack (screening, about log2(n) / capacity
//   flips). Then the coins beside the likeliest gap are put to sequential tests, moving outwards in
//   doubling steps and inwards again where a test says so.
// Result: gap i lies between coin i - 1 and coin i (0 .. n; before the first coin the chance counts
//   as 0, after the last as 1). With probability 1 - failure at least, the left coin's chance is
//   below target + slack and the right one's above target - slack; no coin is assumed to be there.
// Errors: those of `flip`; budget when max_flips are used up.
// Threads: pure, but for `flip`.
// Reference: "Sharp Noisy Binary Search with Monotonic Probabilities" (the channel, its capacity
// and
//   the screening); A. Wald, "Sequential Tests of Statistical Hypotheses", 1945 (the tests that
//   give the guarantee, in place of the paper's last stage).
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "base/result.h"

namespace checkbit {

struct NoisySearchOptions {
  double target = 0.5;
  double slack = 0.25;    ///< 0 < slack < min(target, 1 - target)
  double failure = 0.05;  ///< probability of a wrong answer, at most
  std::size_t max_flips = 10000;
};

struct CoinTally {
  std::size_t heads = 0;
  std::size_t flips = 0;
};

struct NoisySearchResult {
  std::size_t gap = 0;
  std::size_t flips = 0;
  std::vector<CoinTally> tallies;  ///< of each coin, over the whole search
};

using CoinFlip = std::function<Result<bool>(std::size_t coin)>;

/// Preconditions: coins > 0, options in range.
Result<NoisySearchResult> noisy_search(std::size_t coins, const CoinFlip& flip,
                                       const NoisySearchOptions& options = {});

/// Bits that one flip tells at best about a gap, when chances are target -+ slack.
double search_capacity(double target, double slack);

}  // namespace checkbit
