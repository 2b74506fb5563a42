// Dynamic programming over bytes (allocate.h).
#include "quantize/allocate/allocations.h"

namespace checkbit {

extern const AllocationMethod table_allocation;
const AllocationMethod table_allocation = {
    .name = "table",
    .summary = "dynamic programming over 32,768 steps of the spare bytes",
    .choose = [](const AllocationTask& task) { return allocate(task.items, task.budget_bytes); }};

}  // namespace checkbit
