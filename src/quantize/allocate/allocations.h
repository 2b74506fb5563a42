// Ways to choose one option per item under a budget, and the bound that none of them can beat.
//
// What: one `AllocationMethod` per entry of allocations.def, one file each. All are handed the same
//   predicted losses and differ in how they search.
// Units: bytes; losses as the caller predicts them (nats per token).
// Preconditions: no item is empty; `elements` has one count per item, none 0; losses are finite.
// Errors: budget (even the smallest options do not fit: names their bytes).
// Threads: pure functions. The same task gives the same choice everywhere: a search stops by nodes,
//   never by time.
#pragma once

#include <span>
#include <string_view>

#include "quantize/allocate/allocate.h"

namespace checkbit {

struct AllocationTask {
  std::vector<AllocationItem> items;
  std::vector<std::uint64_t> elements;  ///< weights of each item
  std::uint64_t budget_bytes = 0;
};

using Choice = std::vector<std::size_t>;  ///< the index of the option for each item

struct AllocationMethod {
  std::string_view name;
  std::string_view summary;
  /// Called with a budget that the smallest options meet.
  Result<Choice> (*choose)(const AllocationTask& task) = nullptr;
};

/// In the order of allocations.def.
std::span<const AllocationMethod* const> all_allocations();
/// Null when unknown.
const AllocationMethod* find_allocation(std::string_view name);

Result<Choice> allocate_by(const AllocationMethod& method, const AllocationTask& task);

std::uint64_t bytes_of(const AllocationTask& task, const Choice& chosen);
double loss_of(const AllocationTask& task, const Choice& chosen);

/// The smallest option of every item; of several the one that loses least.
Choice smallest_choice(const AllocationTask& task);
/// Spends what is left of the budget on single changes, the largest fall of the loss first.
void spend_rest(const AllocationTask& task, Choice& chosen);

/// The choice when options may be mixed in fractions: the optimum of the linear program, which no
/// choice of whole options beats, and that choice with its one broken option rounded down.
/// Reference: Bit Allocation using Optimization (an optimum as empirical bound on allocations).
struct Relaxation {
  double bound = 0;  ///< least summed loss
  Choice chosen;     ///< within the budget
};
Relaxation relax(const AllocationTask& task);

}  // namespace checkbit
