#include "run/tokenizer/special_splitter.h"

#include <algorithm>
#include <cctype>

namespace checkbit {
namespace {

/// White space of the C locale, as the rules for stripping have it.
bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

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

/// Cuts at the first occurrence of a piece; what comes first is on top of the stack then.
void SpecialSplitter::take_apart(const Pending& whole, TokenId id, const Vocabulary& vocabulary,
                                 std::vector<Pending>& pending) const {
  std::string_view left = whole.fragment.text;
  const std::size_t found = left.find(vocabulary.text(id));
  if (found == std::string_view::npos) {
    pending.push_back({whole.fragment, whole.next + 1});
    return;
  }
  std::string_view right = left.substr(found + vocabulary.text(id).size());
  left = left.substr(0, found);
  const std::uint8_t flags = vocabulary.flags(id);
  if ((flags & kStripLeft) != 0) {
    while (!left.empty() && is_space(left.back())) left.remove_suffix(1);
  }
  if ((flags & kStripRight) != 0) {
    while (!right.empty() && is_space(right.front())) right.remove_prefix(1);
  }
  if (!right.empty()) pending.push_back({{std::nullopt, right}, whole.next});
  pending.push_back({{id, {}}});
  if (!left.empty()) pending.push_back({{std::nullopt, left}, whole.next + 1});
}

void SpecialSplitter::split(std::string_view text, bool parse_special, const Vocabulary& vocabulary,
                            const Take& take) const {
  if (text.empty()) return;
  std::vector<TokenId> wanted;
  const std::vector<bool> occurs = pieces_in(text);
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    if (occurs[i] && (parse_special || !vocabulary.is_special(pieces_[i])))
      wanted.push_back(pieces_[i]);
  }
  // A stack, so that memory grows with the pieces that occur and not with how often they do.
  std::vector<Pending> pending = {{{std::nullopt, text}}};
  while (!pending.empty()) {
    const Pending top = pending.back();
    pending.pop_back();
    if (top.fragment.token || top.next == wanted.size()) {
      take(top.fragment);
    } else {
      take_apart(top, wanted[top.next], vocabulary, pending);
    }
  }
}

}  // namespace checkbit
