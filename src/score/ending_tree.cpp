#include "score/ending_tree.h"

#include <algorithm>
#include <numeric>

namespace checkbit {
namespace {

class Grower {
 public:
  Grower(std::span<const std::span<const TokenId>> sequences, std::size_t worth_tokens)
      : sequences_(sequences), worth_tokens_(std::max<std::size_t>(worth_tokens, 1)) {}

  EndingTree grow() {
    tree_.order.resize(sequences_.size());
    std::iota(tree_.order.begin(), tree_.order.end(), std::size_t{0});
    std::ranges::stable_sort(tree_.order, [this](std::size_t a, std::size_t b) {
      return std::ranges::lexicographical_compare(sequences_[a], sequences_[b]);
    });
    // Not by recursion: sequences that nest in one another would take a stack as deep as they are.
    if (!sequences_.empty()) open_.push_back({0, sequences_.size(), EndingNode::kNone});
    while (!open_.empty()) {
      const Range range = open_.back();
      open_.pop_back();
      divide(range);
    }
    return std::move(tree_);
  }

 private:
  /// Sequences [first, last) of the order, of which node `above` has read all it reads.
  struct Range {
    std::size_t first;
    std::size_t last;
    std::size_t above;
  };

  std::span<const TokenId> at(std::size_t place) const { return sequences_[tree_.order[place]]; }
  std::size_t read_by(std::size_t node) const {
    return node == EndingNode::kNone ? 0 : tree_.nodes[node].end;
  }

  void divide(Range range) {
    const std::size_t common = common_start(at(range.first), at(range.last - 1));
    const std::size_t read = read_by(range.above);
    const bool alone = common == at(range.last - 1).size();  // the last is the longest then
    if (common > read && (alone || common - read >= worth_tokens_))
      range.above = add_node(range, common);
    if (alone) return;
    std::size_t first = range.first;
    while (first < range.last && at(first).size() == common) ++first;
    if (first > range.first && common > read_by(range.above))
      open_.push_back({range.first, first, range.above});
    while (first < range.last) {
      std::size_t last = first + 1;
      while (last < range.last && at(last)[common] == at(first)[common]) ++last;
      open_.push_back({first, last, range.above});
      first = last;
    }
  }

  std::size_t add_node(const Range& range, std::size_t end) {
    const std::size_t depth =
        range.above == EndingNode::kNone ? 0 : tree_.nodes[range.above].depth + 1;
    tree_.nodes.push_back({range.above, depth, read_by(range.above), end, range.first, range.last});
    return tree_.nodes.size() - 1;
  }

  std::span<const std::span<const TokenId>> sequences_;
  std::size_t worth_tokens_;
  EndingTree tree_;
  std::vector<Range> open_;
};

}  // namespace

std::size_t common_start(std::span<const TokenId> a, std::span<const TokenId> b) {
  return static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

EndingTree grow_ending_tree(std::span<const std::span<const TokenId>> sequences,
                            std::size_t worth_tokens) {
  return Grower(sequences, worth_tokens).grow();
}

}  // namespace checkbit
