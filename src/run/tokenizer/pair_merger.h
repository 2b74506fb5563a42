// Merging neighbours, best pair first: the loop that byte-level BPE and SentencePiece share.
//
// What: a word begins as symbols side by side; while some neighbours may merge, the pair with the
//   lowest order merges, the leftmost of equals. O(n log n) for n symbols, whatever the word.
// Symbols are named by the byte offset at which they begin, so a symbol's text is
//   word[offset, end_of(offset)).
// Threads: one merger per thread; it keeps its memory from word to word.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "run/tokenizer.h"

namespace checkbit {

class PairMerger {
 public:
  static constexpr TokenId kNoToken = -1;

  struct Merge {
    std::uint32_t order;  ///< lower merges first
    TokenId token;        ///< of the merged symbol
  };

  /// Longest word that merge() takes; callers cut longer ones (offsets are 32 bits).
  static constexpr std::size_t kMaxWordBytes = std::size_t{1} << 30;

  /// Starts a word of `length` bytes. Then add() every symbol in order, then merge().
  void start(std::size_t length) {
    tokens_.resize(length);
    next_.resize(length);
    previous_.resize(length);
    last_ = kNone;
  }

  void add(std::uint32_t begin, std::uint32_t end, TokenId token) {
    tokens_[begin] = token;
    next_[begin] = end;
    previous_[begin] = last_;
    last_ = begin;
  }

  /// Calls `find_merge(left, right, end)` -> std::optional<Merge> for neighbours whose texts are
  /// [left, right) and [right, end).
  template <class FindMerge>
  void merge(FindMerge&& find_merge) {
    const auto length = static_cast<std::uint32_t>(next_.size());
    heap_.clear();
    for (std::uint32_t left = 0, right = 0; length > 0; left = right) {
      right = next_[left];
      if (right == length) break;
      if (const auto found = find_merge(left, right, next_[right]))
        add_candidate(left, right, *found);
    }
    std::make_heap(heap_.begin(), heap_.end());
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end());
      const Candidate best = heap_.back();
      heap_.pop_back();
      // A symbol that is gone has next 0; one that has grown ends elsewhere.
      if (next_[best.left] != best.right || next_[best.right] != best.end) continue;
      tokens_[best.left] = best.token;
      next_[best.left] = best.end;
      next_[best.right] = 0;
      if (best.end < length) previous_[best.end] = best.left;
      push_if_found(find_merge, previous_[best.left], best.left, length);
      push_if_found(find_merge, best.left, best.end, length);
    }
  }

  /// Calls `emit(begin, end, token)` for each symbol that is left, in order.
  template <class Emit>
  void for_each(Emit&& emit) const {
    for (std::uint32_t at = 0; at < next_.size(); at = next_[at]) emit(at, next_[at], tokens_[at]);
  }

  TokenId token(std::uint32_t begin) const { return tokens_[begin]; }

 private:
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;

  struct Candidate {
    std::uint32_t order, left, right, end;
    TokenId token;
    /// The heap keeps its greatest on top: the lowest order, then the leftmost.
    bool operator<(const Candidate& other) const {
      return order != other.order ? order > other.order : left > other.left;
    }
  };

  void add_candidate(std::uint32_t left, std::uint32_t right, const Merge& merge) {
    heap_.push_back({merge.order, left, right, next_[right], merge.token});
  }

  template <class FindMerge>
  void push_if_found(FindMerge& find_merge, std::uint32_t left, std::uint32_t right,
                     std::uint32_t length) {
    if (left == kNone || right == length) return;
    if (const auto found = find_merge(left, right, next_[right])) {
      add_candidate(left, right, *found);
      std::push_heap(heap_.begin(), heap_.end());
    }
  }

  std::vector<TokenId> tokens_;          ///< [length] by begin offset, as the two below
  std::vector<std::uint32_t> next_;      ///< where the symbol ends and the next begins; 0: gone
  std::vector<std::uint32_t> previous_;  ///< begin of the symbol before; kNone: first
  std::vector<Candidate> heap_;
  std::uint32_t last_ = kNone;
};

}  // namespace checkbit
