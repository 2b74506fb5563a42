// Reallocation within a strict budget: bytes move between items.
//
// What: starts with the even choice (for every item its best option under the same bits per weight)
//   and exchanges: one item grows while another shrinks, the pair that lowers the sum of losses
//   most, until none does. The budget holds after every exchange, so that sensitivities measured
//   anew can be followed at any time.
// Reference: QBitOpt: Fast and Accurate Bitwidth Reallocation during Training.
#include <algorithm>

#include "quantize/allocate/allocations.h"

namespace checkbit {
namespace {

Choice even_choice(const AllocationTask& task) {
  Choice best = smallest_choice(task);
  for (int sixteenths = 1; sixteenths <= 32 * 16; ++sixteenths) {
    Choice chosen = smallest_choice(task);
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      const AllocationItem& item = task.items[i];
      for (std::size_t o = 0; o < item.size(); ++o) {
        const bool fits =
            8 * 16 * item[o].bytes <= static_cast<std::uint64_t>(sixteenths) * task.elements[i];
        if (fits && item[o].loss < item[chosen[i]].loss) chosen[i] = o;
      }
    }
    if (bytes_of(task, chosen) > task.budget_bytes) break;
    best = std::move(chosen);
  }
  return best;
}

struct Move {
  std::size_t item = 0, to = 0;
  std::int64_t bytes = 0;  ///< more than now
  double gain = 0;         ///< fall of the loss
};

std::vector<Move> moves_from(const AllocationTask& task, const Choice& chosen, bool larger) {
  std::vector<Move> moves;
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    const AllocationOption& now = task.items[i][chosen[i]];
    for (std::size_t o = 0; o < task.items[i].size(); ++o) {
      const AllocationOption& option = task.items[i][o];
      const auto bytes =
          static_cast<std::int64_t>(option.bytes) - static_cast<std::int64_t>(now.bytes);
      if (larger ? bytes > 0 && option.loss < now.loss : bytes < 0)
        moves.push_back({i, o, bytes, now.loss - option.loss});
    }
  }
  return moves;
}

/// The best pair of a growing and a shrinking item within `rest` bytes; false when none gains.
bool exchange_once(const AllocationTask& task, std::int64_t rest, Choice& chosen) {
  const std::vector<Move> up = moves_from(task, chosen, true);
  const std::vector<Move> down = moves_from(task, chosen, false);
  const Move *best_up = nullptr, *best_down = nullptr;
  double best = 1e-9 * loss_of(task, chosen);  // what is less is rounding
  for (const Move& a : up) {
    for (const Move& b : down) {
      if (a.item == b.item || a.bytes + b.bytes > rest || a.gain + b.gain <= best) continue;
      best = a.gain + b.gain;
      best_up = &a;
      best_down = &b;
    }
  }
  if (best_up == nullptr) return false;
  chosen[best_up->item] = best_up->to;
  chosen[best_down->item] = best_down->to;
  return true;
}

Result<Choice> choose(const AllocationTask& task) {
  constexpr int kMostExchanges = 1000;
  Choice chosen = even_choice(task);
  for (int n = 0; n < kMostExchanges; ++n) {
    spend_rest(task, chosen);
    const auto rest = static_cast<std::int64_t>(task.budget_bytes - bytes_of(task, chosen));
    if (!exchange_once(task, rest, chosen)) break;
  }
  return chosen;
}

}  // namespace

extern const AllocationMethod exchange_allocation;
const AllocationMethod exchange_allocation = {
    .name = "exchange",
    .summary = "from even bits, bytes moved between pairs of tensors while the sum falls",
    .choose = choose};

}  // namespace checkbit
