// Choosing one option per item under a budget.
//
// What: every item (a tensor) has options with a size and a loss; the choice minimises the sum of
//   losses with the sum of sizes within the budget. Solved by Lagrangian relaxation over each
//   item's lower convex hull, then by spending what is left on the best remaining steps. Within one
//   hull step of the optimum; deterministic.
// Errors: budget, when even the smallest options do not fit.
// Reference: H. Everett, "Generalized Lagrange Multiplier Method", 1963.
// Threads: pure function.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"

namespace checkbit {

struct AllocationOption {
  std::uint64_t bytes = 0;
  double loss = 0;  ///< >= 0
};

using AllocationItem = std::vector<AllocationOption>;

/// The index of the option for each item. Precondition: no item is empty.
Result<std::vector<std::size_t>> allocate(const std::vector<AllocationItem>& items,
                                          std::uint64_t budget_bytes);

/// The sum of the smallest options: the least budget that can be met.
std::uint64_t smallest_bytes(const std::vector<AllocationItem>& items);

}  // namespace checkbit
