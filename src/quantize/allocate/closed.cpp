// Bits in closed form: the same loss for every weight.
//
// What: the loss of an item of n weights at b bits each is taken as n c 2^(-2b), c fitted to its
//   options; then the least sum under a budget has c 2^(-2b) equal everywhere, b = log2(c / t) / 2.
//   The level t is found by halving, each item takes its largest option of at most b bits, and what
//   rounding down leaves over is spent.
// Reference: BAQ: Efficient Bit Allocation Quantization for Large Language Models (equal losses).
#include <algorithm>
#include <cmath>

#include "quantize/allocate/allocations.h"

namespace checkbit {
namespace {

double bits_of(const AllocationOption& option, std::uint64_t elements) {
  return 8.0 * static_cast<double>(option.bytes) / static_cast<double>(elements);
}

/// log2 of c: the mean over options that lose anything.
double fitted_log(const AllocationItem& item, std::uint64_t elements) {
  double sum = 0;
  int count = 0;
  for (const AllocationOption& option : item) {
    if (!(option.loss > 0)) continue;
    sum += std::log2(option.loss / static_cast<double>(elements)) + 2 * bits_of(option, elements);
    ++count;
  }
  return count == 0 ? -1e9 : sum / count;
}

Choice choice_at(const AllocationTask& task, const std::vector<double>& logs, double level) {
  Choice chosen = smallest_choice(task);
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    const AllocationItem& item = task.items[i];
    const double bits = (logs[i] - level) / 2;
    for (std::size_t o = 0; o < item.size(); ++o) {
      const AllocationOption& now = item[chosen[i]];
      if (bits_of(item[o], task.elements[i]) <= bits && item[o].loss < now.loss) chosen[i] = o;
    }
  }
  return chosen;
}

Result<Choice> choose(const AllocationTask& task) {
  std::vector<double> logs;
  for (std::size_t i = 0; i < task.items.size(); ++i)
    logs.push_back(fitted_log(task.items[i], task.elements[i]));
  double fits = 1e4, tried = -1e4;  // of the level's logarithm: higher takes fewer bits
  for (int step = 0; step < 60; ++step) {
    const double level = (fits + tried) / 2;
    (bytes_of(task, choice_at(task, logs, level)) <= task.budget_bytes ? fits : tried) = level;
  }
  Choice chosen = choice_at(task, logs, fits);
  if (bytes_of(task, chosen) > task.budget_bytes) chosen = smallest_choice(task);
  spend_rest(task, chosen);
  return chosen;
}

}  // namespace

extern const AllocationMethod closed_allocation;
const AllocationMethod closed_allocation = {
    .name = "closed",
    .summary = "bits in closed form, so that every weight loses the same",
    .choose = choose};

}  // namespace checkbit
