#include <algorithm>
#include <array>
#include <set>

#include "measure/sweep/points.h"
#include "measure/sweep/run_sweep.h"

namespace checkbit {
namespace {

constexpr std::size_t kRoundGrowth = 4;

std::size_t windows_of(const SweepText& text, const SweepOptions& options) {
  const std::size_t all = text.tokens.size() / options.context_tokens;
  return options.max_windows > 0 ? std::min(all, options.max_windows) : all;
}

const StoredCandidate* find_candidate(const StoredModel* known, const SweepCandidate& candidate) {
  if (known == nullptr) return nullptr;
  const auto found =
      std::ranges::find(known->candidates, candidate.name,
                        [](const StoredCandidate& stored) { return stored.candidate.name; });
  return found == known->candidates.end() ? nullptr : &*found;
}

/// Plans work from what the store knows.
class Planner {
 public:
  Planner(const StoredModel* known, std::span<const SweepCandidate> candidates,
          std::span<const SweepText> texts, const SweepOptions& options)
      : known_(known), candidates_(candidates), texts_(texts), options_(options) {}

  std::vector<SweepWork> plan() {
    for (const std::size_t i : spanning_order(candidates_.size()))
      add(i, 0, options_.first_windows);
    const std::vector<FrontPlace> places = places_of_candidates();
    for (const FrontPlace place : {FrontPlace::on, FrontPlace::near, FrontPlace::behind}) {
      for (std::size_t first = options_.first_windows; first < longest(); first *= kRoundGrowth) {
        for (std::size_t i = 0; i < candidates_.size(); ++i)
          if (places[i] == place) add(i, first, first * kRoundGrowth);
      }
    }
    return std::move(work_);
  }

 private:
  std::size_t longest() const {
    std::size_t windows = 0;
    for (const SweepText& text : texts_) windows = std::max(windows, windows_of(text, options_));
    return windows;
  }

  /// By bytes or seconds, whichever is better; only asked for once there are later rounds.
  std::vector<FrontPlace> places_of_candidates() const {
    std::vector<FrontPlace> places(candidates_.size(), FrontPlace::behind);
    if (known_ == nullptr || longest() <= options_.first_windows) return places;
    const std::vector<FrontPlace> bytes = front_of(*known_, FrontCost::bytes);
    const std::vector<FrontPlace> seconds = front_of(*known_, FrontCost::seconds);
    for (std::size_t i = 0; i < candidates_.size(); ++i) {
      const StoredCandidate* stored = find_candidate(known_, candidates_[i]);
      if (stored == nullptr) continue;
      const auto at = static_cast<std::size_t>(stored - known_->candidates.data());
      places[i] = std::min(bytes[at], seconds[at]);
    }
    return places;
  }

  void add(std::size_t index, std::size_t first, std::size_t end) {
    const StoredCandidate* stored = find_candidate(known_, candidates_[index]);
    if (stored != nullptr && !stored->broken.empty()) return;
    SweepWork work{index, {}};
    for (const SweepText& text : texts_) {
      const std::size_t last = std::min(end, windows_of(text, options_));
      if (first >= last) continue;
      bool finished = stored != nullptr;
      for (std::size_t w = first; finished && w < last; ++w)
        finished = stored->windows.contains({text.hash, w});
      if (!finished) work.pieces.push_back({text.hash, first, last - first});
    }
    if (!work.pieces.empty()) work_.push_back(std::move(work));
  }

  const StoredModel* known_;
  std::span<const SweepCandidate> candidates_;
  std::span<const SweepText> texts_;
  const SweepOptions& options_;
  std::vector<SweepWork> work_;
};

}  // namespace

std::size_t SweepWork::windows() const {
  std::size_t sum = 0;
  for (const SweepPiece& piece : pieces) sum += piece.count;
  return sum;
}

std::vector<std::size_t> spanning_order(std::size_t count) {
  std::vector<std::size_t> order;
  std::set<std::size_t> seen;
  const auto add = [&](std::size_t index) {
    if (seen.insert(index).second) order.push_back(index);
  };
  if (count == 0) return order;
  add(count - 1);
  add(0);
  for (std::size_t parts = 2; order.size() < count; parts *= 2) {
    for (std::size_t p = 1; p < parts; p += 2) add(p * (count - 1) / parts);
    if (parts > count)  // rounding down may skip some
      for (std::size_t i = 0; i < count; ++i) add(i);
  }
  return order;
}

std::vector<SweepWork> plan_work(const StoredModel* known,
                                 std::span<const SweepCandidate> candidates,
                                 std::span<const SweepText> texts, const SweepOptions& options) {
  return Planner(known, candidates, texts, options).plan();
}

}  // namespace checkbit
