// Did two models differ on the same items by more than chance? Tests on pairs of right and wrong.
//
// What: of items that only one of two models got right, each is a fair coin toss if the models are
//   equally good; items that both or neither got right say nothing. McNemar's test is the sign test
//   of those tosses.
// Threads: pure functions.
// Reference: Q. McNemar, 1947; M. Fagerland, S. Lydersen, P. Laake, "The McNemar test for binary
//   matched-pairs data: mid-p and asymptotic are better than exact conditional", 2013; D. Bonett,
//   R. Price, "Adjusted Wald confidence interval for a difference of binomial proportions based on
//   paired data", 2012.
#pragma once

#include <cstdint>

#include "score/statistics.h"

namespace checkbit {

/// Two-sided p of `plus` heads and `minus` tails of a fair coin; 1 without tosses.
double sign_test(std::uint64_t plus, std::uint64_t minus);

struct McNemar {
  double exact_p = 1;  ///< the sign test; never too small, often too large
  double mid_p = 1;    ///< outcomes as far out as this one count half; nearer its level
};
McNemar mcnemar_test(std::uint64_t only_first, std::uint64_t only_second);

/// Interval for the difference of two shares of the same `items`, first minus second (Bonett and
/// Price, equation 4): within [-1, 1]; without items it is all of that.
/// Precondition: only_first + only_second <= items.
Interval paired_difference_interval(std::uint64_t only_first, std::uint64_t only_second,
                                    std::uint64_t items, double confidence = 0.95);

}  // namespace checkbit
