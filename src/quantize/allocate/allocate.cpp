#include "quantize/allocate/allocate.h"

#include <algorithm>

namespace checkbit {
namespace {

constexpr std::size_t kUnits = 32768;

std::uint64_t least_bytes(const AllocationItem& item) {
  return std::ranges::min_element(item, {}, &AllocationOption::bytes)->bytes;
}

/// The best choice whose sizes, rounded up to units, come to at most `kUnits`.
class UnitTable {
 public:
  explicit UnitTable(std::uint64_t spare_bytes)
      : unit_(std::max<std::uint64_t>(1, (spare_bytes + kUnits - 1) / kUnits)),
        units_(static_cast<std::size_t>(spare_bytes / unit_)),
        losses_(units_ + 1, 0.0) {}

  void add(const AllocationItem& item) {
    CB_CHECK(!item.empty() && item.size() < 65536);
    const std::uint64_t least = least_bytes(item);
    std::vector<double> losses(units_ + 1);
    std::vector<std::uint16_t> choices(units_ + 1);
    std::vector<std::size_t> sizes;
    for (const AllocationOption& option : item)
      sizes.push_back(static_cast<std::size_t>((option.bytes - least + unit_ - 1) / unit_));
    for (std::size_t room = 0; room <= units_; ++room) {
      double best = -1;
      for (std::size_t o = 0; o < item.size(); ++o) {
        if (sizes[o] > room) continue;
        const double loss = losses_[room - sizes[o]] + item[o].loss;
        if (best >= 0 && loss >= best) continue;
        best = loss;
        choices[room] = static_cast<std::uint16_t>(o);
      }
      losses[room] = best;
    }
    losses_ = std::move(losses);
    choices_.push_back(std::move(choices));
    sizes_.push_back(std::move(sizes));
  }

  std::vector<std::size_t> chosen() const {
    std::vector<std::size_t> result(choices_.size());
    std::size_t room = units_;
    for (std::size_t i = choices_.size(); i-- > 0;) {
      result[i] = choices_[i][room];
      room -= sizes_[i][result[i]];
    }
    return result;
  }

 private:
  std::uint64_t unit_;
  std::size_t units_;
  std::vector<double> losses_;                       ///< [units + 1]: least sum within that room
  std::vector<std::vector<std::uint16_t>> choices_;  ///< [items][units + 1]
  std::vector<std::vector<std::size_t>> sizes_;      ///< [items][options], in units
};

}  // namespace

void spend_rest(const std::vector<AllocationItem>& items, std::uint64_t rest,
                std::vector<std::size_t>& chosen) {
  while (true) {
    double best_gain = 0;
    std::size_t best_item = 0;
    std::size_t best_option = 0;
    for (std::size_t i = 0; i < items.size(); ++i) {
      const AllocationOption& now = items[i][chosen[i]];
      for (std::size_t o = 0; o < items[i].size(); ++o) {
        if (items[i][o].bytes > now.bytes + rest || now.loss - items[i][o].loss <= best_gain)
          continue;
        best_gain = now.loss - items[i][o].loss;
        best_item = i;
        best_option = o;
      }
    }
    if (best_gain <= 0) return;
    rest += items[best_item][chosen[best_item]].bytes;
    rest -= items[best_item][best_option].bytes;
    chosen[best_item] = best_option;
  }
}

std::uint64_t smallest_bytes(const std::vector<AllocationItem>& items) {
  std::uint64_t total = 0;
  for (const AllocationItem& item : items) total += least_bytes(item);
  return total;
}

Status check_smallest(const std::vector<AllocationItem>& items, std::uint64_t budget_bytes) {
  const std::uint64_t smallest = smallest_bytes(items);
  if (smallest <= budget_bytes) return {};
  return fail(ErrorKind::budget, "the smallest possible is {} bytes, the budget {}", smallest,
              budget_bytes);
}

Result<std::vector<std::size_t>> allocate(const std::vector<AllocationItem>& items,
                                          std::uint64_t budget_bytes) {
  CB_TRY_STATUS(check_smallest(items, budget_bytes));
  const std::uint64_t smallest = smallest_bytes(items);
  std::uint64_t most = 0;
  for (const AllocationItem& item : items)
    most += std::ranges::max_element(item, {}, &AllocationOption::bytes)->bytes;
  UnitTable table(std::min(budget_bytes, most) - smallest);
  for (const AllocationItem& item : items) table.add(item);
  std::vector<std::size_t> chosen = table.chosen();
  std::uint64_t used = 0;
  for (std::size_t i = 0; i < items.size(); ++i) used += items[i][chosen[i]].bytes;
  CB_CHECK(used <= budget_bytes);
  spend_rest(items, budget_bytes - used, chosen);
  return chosen;
}

}  // namespace checkbit
