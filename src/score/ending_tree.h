// What token sequences have in common at their starts, as a tree: each run of shared tokens once.
//
// What: `grow_ending_tree` sorts the sequences and gives nodes, parents first. A node reads tokens
//   [begin, end) of its sequences after what its parent has read; all sequences of a node agree up
//   to `end`. Runs shorter than `worth_tokens` are not shared: a level more costs a pass over the
//   weights.
// Guarantee: the nodes on the way from the root to any sequence read each of its tokens once, in
//   order. A sequence may end inside or at the end of a node with others below it.
// Threads: pure function.
#pragma once

#include <cstddef>
#include <limits>
#include <span>
#include <vector>

#include "run/tokenizer.h"

namespace checkbit {

struct EndingNode {
  static constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();
  std::size_t parent = kNone;
  std::size_t depth = 0;  ///< nodes above
  std::size_t begin = 0;  ///< tokens read here, of each of its sequences
  std::size_t end = 0;
  std::size_t first = 0;  ///< its sequences: order[first, last)
  std::size_t last = 0;
};

struct EndingTree {
  std::vector<std::size_t> order;  ///< of the sequences, sorted by their tokens
  std::vector<EndingNode> nodes;   ///< none for an empty sequence
};

EndingTree grow_ending_tree(std::span<const std::span<const TokenId>> sequences,
                            std::size_t worth_tokens);

/// How many tokens both begin with.
std::size_t common_start(std::span<const TokenId> a, std::span<const TokenId> b);

}  // namespace checkbit
