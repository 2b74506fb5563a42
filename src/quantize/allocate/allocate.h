// Choosing one option per item under a budget.
//
// What: every item (a tensor) has options with a size and a loss; the choice minimises the sum of
//   losses with the sum of sizes within the budget. Dynamic programming over the bytes beyond the
//   smallest choice, counted in 1/32768 of them, so that one large tensor among small ones does
//   not strand bytes; sizes are rounded up to that unit and what is left over is spent on the best
//   single changes. The optimum when a unit is one byte, and within items/32768 of the spare bytes
//   of it else; deterministic.
// Errors: budget, when even the smallest options do not fit.
// Cost: items x options x 32768 steps, 2 bytes per item and unit.
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

/// The index of the option for each item. Preconditions: no item is empty or has 65536 options.
Result<std::vector<std::size_t>> allocate(const std::vector<AllocationItem>& items,
                                          std::uint64_t budget_bytes);

/// The sum of the smallest options: the least budget that can be met.
std::uint64_t smallest_bytes(const std::vector<AllocationItem>& items);
/// The error of a budget under that.
Status check_smallest(const std::vector<AllocationItem>& items, std::uint64_t budget_bytes);

/// Spends `rest` bytes beyond those of `chosen`, the largest fall of the loss first.
void spend_rest(const std::vector<AllocationItem>& items, std::uint64_t rest,
                std::vector<std::size_t>& chosen);

}  // namespace checkbit
