// The linear program over mixtures of options: one slope for all items.
//
// What: of each item the options on the lower convex hull of loss over bytes count; steps along all
//   hulls are taken in the order of loss saved per byte until one does not fit. A fraction of that
//   one makes the optimum of the relaxed problem.
#include <algorithm>

#include "quantize/allocate/allocations.h"

namespace checkbit {
namespace {

struct Step {
  std::size_t item = 0;
  std::size_t from = 0, to = 0;  ///< options
  std::uint64_t bytes = 0;
  double saved = 0;  ///< of the loss

  double slope() const { return saved / static_cast<double>(bytes); }
};

/// The steps of one item from its smallest option along its hull, the steepest first.
void add_steps(const AllocationItem& item, std::size_t index, std::size_t at,
               std::vector<Step>& steps) {
  while (true) {
    Step best{.item = index, .from = at};
    for (std::size_t o = 0; o < item.size(); ++o) {
      if (item[o].bytes <= item[at].bytes || item[o].loss >= item[at].loss) continue;
      const Step step = {index, at, o, item[o].bytes - item[at].bytes,
                         item[at].loss - item[o].loss};
      // Of equal slopes the longer: nothing on the way is a corner.
      if (best.bytes == 0 || step.slope() > best.slope() ||
          (step.slope() == best.slope() && step.bytes > best.bytes))
        best = step;
    }
    if (best.bytes == 0) return;
    steps.push_back(best);
    at = best.to;
  }
}

}  // namespace

Relaxation relax(const AllocationTask& task) {
  Relaxation result{.chosen = smallest_choice(task)};
  std::vector<Step> steps;
  for (std::size_t i = 0; i < task.items.size(); ++i)
    add_steps(task.items[i], i, result.chosen[i], steps);
  std::ranges::stable_sort(steps, std::greater<>(), &Step::slope);
  result.bound = loss_of(task, result.chosen);
  std::uint64_t rest = task.budget_bytes - bytes_of(task, result.chosen);
  bool broken = false;
  for (const Step& step : steps) {
    if (!broken) {
      const std::uint64_t taken = std::min(rest, step.bytes);
      result.bound -= step.slope() * static_cast<double>(taken);
      broken = taken < step.bytes;
    }
    if (step.bytes > rest || result.chosen[step.item] != step.from) continue;
    result.chosen[step.item] = step.to;
    rest -= step.bytes;
  }
  return result;
}

extern const AllocationMethod convex_allocation;
const AllocationMethod convex_allocation = {
    .name = "convex",
    .summary = "one price per byte for all tensors: the relaxed optimum, rounded down",
    .choose = [](const AllocationTask& task) -> Result<Choice> {
      Choice chosen = relax(task).chosen;
      spend_rest(task, chosen);
      return chosen;
    }};

}  // namespace checkbit
