// Finds special tokens in a text before anything else is done with it.
//
// What: longer pieces are looked for first, everywhere, each from left to right in what earlier
// ones
//   left over; of equally long pieces the one with the lower id first. User-defined pieces are
//   always found, control and unknown ones only when asked for.
// Cost: one pass finds which pieces occur at all (so thousands of them cost nothing); then one
// search
//   of the remaining text for each that does.
// Threads: const after creation.
// Reference: Aho and Corasick, Efficient String Matching, 1975.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "run/tokenizer/vocabulary.h"

namespace checkbit {

/// Either a token or text that is still to be encoded.
struct TextFragment {
  std::optional<TokenId> token;
  std::string_view text;
};

class SpecialSplitter {
 public:
  explicit SpecialSplitter(const Vocabulary& vocabulary);

  /// Calls `take` with the fragments in order, no empty ones. They point into `text`.
  using Take = std::function<void(const TextFragment&)>;
  void split(std::string_view text, bool parse_special, const Vocabulary& vocabulary,
             const Take& take) const;

 private:
  struct Node {
    std::uint32_t fallback = 0;  ///< the longest proper suffix that is a node
    std::uint32_t next_end = 0;  ///< the longest proper suffix that ends a piece; 0: none
    std::int32_t piece = -1;     ///< index in pieces_ of the piece that ends here
  };
  /// What is still to be done with a part of the text: a token is passed on, in text the pieces
  /// from wanted[next] on are looked for.
  struct Pending {
    TextFragment fragment;
    std::size_t next = 0;
  };
  void insert(std::string_view piece, std::int32_t index);
  void link_suffixes();
  std::optional<std::uint32_t> child(std::uint32_t node, std::uint8_t byte) const;
  std::uint32_t step(std::uint32_t node, std::uint8_t byte) const;
  std::vector<bool> pieces_in(std::string_view text) const;
  void take_apart(const Pending& whole, TokenId id, const Vocabulary& vocabulary,
                  std::vector<Pending>& pending) const;

  std::vector<TokenId> pieces_;  ///< longest first
  std::vector<Node> nodes_;      ///< [0] is the root
  std::array<std::uint32_t, 256> root_children_{};
  std::unordered_map<std::uint64_t, std::uint32_t> children_;  ///< (node << 8 | byte) -> node
};

}  // namespace checkbit
