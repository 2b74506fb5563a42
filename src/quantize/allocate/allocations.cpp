#include "quantize/allocate/allocations.h"

#include <algorithm>
#include <array>

namespace checkbit {

#define CHECKBIT_ALLOCATION(name) extern const AllocationMethod name##_allocation;
#include "quantize/allocate/allocations.def"
#undef CHECKBIT_ALLOCATION

namespace {

const std::array kAllocations = {
#define CHECKBIT_ALLOCATION(name) &name##_allocation,
#include "quantize/allocate/allocations.def"
#undef CHECKBIT_ALLOCATION
};

}  // namespace

std::span<const AllocationMethod* const> all_allocations() { return kAllocations; }

const AllocationMethod* find_allocation(std::string_view name) {
  const auto found = std::ranges::find(kAllocations, name, &AllocationMethod::name);
  return found == kAllocations.end() ? nullptr : *found;
}

Result<Choice> allocate_by(const AllocationMethod& method, const AllocationTask& task) {
  CB_CHECK(task.elements.size() == task.items.size());
  CB_TRY_STATUS(check_smallest(task.items, task.budget_bytes));
  CB_TRY(Choice chosen, method.choose(task));
  CB_CHECK(chosen.size() == task.items.size() && bytes_of(task, chosen) <= task.budget_bytes);
  return chosen;
}

std::uint64_t bytes_of(const AllocationTask& task, const Choice& chosen) {
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < chosen.size(); ++i) bytes += task.items[i][chosen[i]].bytes;
  return bytes;
}

double loss_of(const AllocationTask& task, const Choice& chosen) {
  double loss = 0;
  for (std::size_t i = 0; i < chosen.size(); ++i) loss += task.items[i][chosen[i]].loss;
  return loss;
}

Choice smallest_choice(const AllocationTask& task) {
  Choice chosen;
  for (const AllocationItem& item : task.items) {
    const auto less = [](const AllocationOption& a, const AllocationOption& b) {
      return a.bytes != b.bytes ? a.bytes < b.bytes : a.loss < b.loss;
    };
    chosen.push_back(static_cast<std::size_t>(std::ranges::min_element(item, less) - item.begin()));
  }
  return chosen;
}

void spend_rest(const AllocationTask& task, Choice& chosen) {
  spend_rest(task.items, task.budget_bytes - bytes_of(task, chosen), chosen);
}

}  // namespace checkbit
