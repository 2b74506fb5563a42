#include "quantize/allocate/allocate.h"

#include <algorithm>

namespace checkbit {
namespace {

/// Indices of the options on the lower convex hull, from small to large, loss strictly falling.
std::vector<std::size_t> lower_hull(const AllocationItem& item) {
  std::vector<std::size_t> order(item.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    if (item[a].bytes != item[b].bytes) return item[a].bytes < item[b].bytes;
    return item[a].loss != item[b].loss ? item[a].loss < item[b].loss : a < b;
  });
  const auto slope = [&](std::size_t a, std::size_t b) {
    return (item[a].loss - item[b].loss) / static_cast<double>(item[b].bytes - item[a].bytes);
  };
  std::vector<std::size_t> hull;
  for (const std::size_t i : order) {
    if (!hull.empty() &&
        (item[i].loss >= item[hull.back()].loss || item[i].bytes == item[hull.back()].bytes))
      continue;
    while (hull.size() >= 2 && slope(hull[hull.size() - 2], hull.back()) <= slope(hull.back(), i))
      hull.pop_back();
    hull.push_back(i);
  }
  return hull;
}

struct Step {
  double gain_per_byte;
  std::size_t item;
  std::size_t position;  ///< on the hull, after the step
};

}  // namespace

std::uint64_t smallest_bytes(const std::vector<AllocationItem>& items) {
  std::uint64_t total = 0;
  for (const AllocationItem& item : items) {
    total += std::ranges::min_element(item, {}, &AllocationOption::bytes)->bytes;
  }
  return total;
}

Result<std::vector<std::size_t>> allocate(const std::vector<AllocationItem>& items,
                                          std::uint64_t budget_bytes) {
  std::vector<std::vector<std::size_t>> hulls;
  std::vector<std::size_t> position(items.size(), 0);
  std::vector<Step> steps;
  std::uint64_t used = 0;
  for (std::size_t i = 0; i < items.size(); ++i) {
    CB_CHECK(!items[i].empty());
    hulls.push_back(lower_hull(items[i]));
    used += items[i][hulls[i][0]].bytes;
    for (std::size_t p = 1; p < hulls[i].size(); ++p) {
      const AllocationOption& from = items[i][hulls[i][p - 1]];
      const AllocationOption& to = items[i][hulls[i][p]];
      steps.push_back({(from.loss - to.loss) / static_cast<double>(to.bytes - from.bytes), i, p});
    }
  }
  if (used > budget_bytes) {
    return fail(ErrorKind::budget, "the smallest possible is {} bytes, the budget {}", used,
                budget_bytes);
  }
  // Along a convex hull the gains fall, so taking the best steps first is the Lagrangian sweep; a
  // step that no longer fits is skipped, and with it the later ones of that item.
  std::stable_sort(steps.begin(), steps.end(),
                   [](const Step& a, const Step& b) { return a.gain_per_byte > b.gain_per_byte; });
  for (const Step& step : steps) {
    if (position[step.item] + 1 != step.position) continue;
    const AllocationItem& item = items[step.item];
    const std::vector<std::size_t>& hull = hulls[step.item];
    const std::uint64_t more =
        item[hull[step.position]].bytes - item[hull[step.position - 1]].bytes;
    if (used + more > budget_bytes) continue;
    used += more;
    position[step.item] = step.position;
  }
  std::vector<std::size_t> chosen;
  for (std::size_t i = 0; i < items.size(); ++i) chosen.push_back(hulls[i][position[i]]);
  return chosen;
}

}  // namespace checkbit
