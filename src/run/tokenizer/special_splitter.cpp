#include "run/tokenizer/special_splitter.h"

#include <algorithm>
#include <cctype>

namespace checkbit {
namespace {

/// White space of the C locale, as the rules for stripping have it.
bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/// Appends what is left of `text` when every occurrence of the piece is taken out.
void take_out(std::string_view text, std::string_view piece, TokenId id, std::uint8_t flags,
              std::vector<TextFragment>& fragments) {
  while (true) {
    const std::size_t found = text.find(piece);
    if (found == std::string_view::npos) break;
    std::string_view left = text.substr(0, found);
    text.remove_prefix(found + piece.size());
    if ((flags & kStripLeft) != 0) {
      while (!left.empty() && is_space(left.back())) left.remove_suffix(1);
    }
    if ((flags & kStripRight) != 0) {
      while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
    }
    if (!left.empty()) fragments.push_back({std::nullopt, left});
    fragments.push_back({id, {}});
  }
  if (!text.empty()) fragments.push_back({std::nullopt, text});
}

}  // namespace

SpecialSplitter::SpecialSplitter(const Vocabulary& vocabulary)
    : pieces_(vocabulary.matched_in_text()), nodes_(1) {
  std::ranges::stable_sort(pieces_, [&](TokenId a, TokenId b) {
    return vocabulary.text(a).size() > vocabulary.text(b).size();
  });
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    insert(vocabulary.text(pieces_[i]), static_cast<std::int32_t>(i));
  }
  link_suffixes();
}

std::optional<std::uint32_t> SpecialSplitter::child(std::uint32_t node, std::uint8_t byte) const {
  if (node == 0) {
    const std::uint32_t found = root_children_[byte];
    return found == 0 ? std::nullopt : std::optional(found);
  }
  const auto found = children_.find(std::uint64_t{node} << 8 | byte);
  return found == children_.end() ? std::nullopt : std::optional(found->second);
}

void SpecialSplitter::insert(std::string_view piece, std::int32_t index) {
  std::uint32_t node = 0;
  for (const char c : piece) {
    const auto byte = static_cast<std::uint8_t>(c);
    auto next = child(node, byte);
    if (!next) {
      next = static_cast<std::uint32_t>(nodes_.size());
      nodes_.emplace_back();
      if (node == 0) {
        root_children_[byte] = *next;
      } else {
        children_.emplace(std::uint64_t{node} << 8 | byte, *next);
      }
    }
    node = *next;
  }
  nodes_[node].piece = index;
}

std::uint32_t SpecialSplitter::step(std::uint32_t node, std::uint8_t byte) const {
  while (true) {
    if (const auto next = child(node, byte)) return *next;
    if (node == 0) return 0;
    node = nodes_[node].fallback;
  }
}

void SpecialSplitter::link_suffixes() {
  struct Edge {
    std::uint32_t parent, node;
    std::uint8_t byte;
  };
  // Nodes are created after their parents, but links must go breadth first: sort edges by depth.
  std::vector<std::vector<Edge>> outgoing(nodes_.size());
  for (const auto& [key, node] : children_) {
    const auto parent = static_cast<std::uint32_t>(key >> 8);
    outgoing[parent].push_back({parent, node, static_cast<std::uint8_t>(key)});
  }
  std::vector<std::uint32_t> queue;
  for (const std::uint32_t node : root_children_) {
    if (node != 0) queue.push_back(node);
  }
  for (std::size_t head = 0; head < queue.size(); ++head) {
    for (const Edge& edge : outgoing[queue[head]]) {
      Node& node = nodes_[edge.node];
      node.fallback = step(nodes_[edge.parent].fallback, edge.byte);
      const Node& suffix = nodes_[node.fallback];
      node.next_end = suffix.piece >= 0 ? node.fallback : suffix.next_end;
      queue.push_back(edge.node);
    }
  }
}

std::vector<bool> SpecialSplitter::pieces_in(std::string_view text) const {
  std::vector<bool> occurs(pieces_.size(), false);
  std::vector<bool> seen(nodes_.size(), false);
  std::uint32_t node = 0;
  for (const char c : text) {
    node = step(node, static_cast<std::uint8_t>(c));
    // Whatever follows a node that was seen before has been marked then.
    for (std::uint32_t end = node; end != 0 && !seen[end]; end = nodes_[end].next_end) {
      seen[end] = true;
      if (nodes_[end].piece >= 0) occurs[static_cast<std::size_t>(nodes_[end].piece)] = true;
    }
  }
  return occurs;
}

std::vector<TextFragment> SpecialSplitter::split(std::string_view text, bool parse_special,
                                                 const Vocabulary& vocabulary) const {
  std::vector<TextFragment> fragments;
  if (text.empty()) return fragments;
  fragments.push_back({std::nullopt, text});
  if (pieces_.empty()) return fragments;

  const std::vector<bool> occurs = pieces_in(text);
  std::vector<TextFragment> before;
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    const TokenId id = pieces_[i];
    if (!occurs[i] || (!parse_special && vocabulary.is_special(id))) continue;
    std::swap(before, fragments);
    fragments.clear();
    for (const TextFragment& fragment : before) {
      if (fragment.token) {
        fragments.push_back(fragment);
      } else {
        take_out(fragment.text, vocabulary.text(id), id, vocabulary.flags(id), fragments);
      }
    }
  }
  return fragments;
}

}  // namespace checkbit
