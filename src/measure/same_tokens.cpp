#include "measure/same_tokens.h"

#include <fmt/format.h>

#include <algorithm>

#include "report/text.h"

namespace checkbit {
namespace {

/// A piece in quotes on one line; "the end" where there is none.
std::string quoted(const Tokenizer& tokenizer, std::span<const TokenId> tokens, std::size_t at) {
  if (at >= tokens.size()) return "the end";
  return fmt::format("\"{}\"", clean_line(tokenizer.piece(tokens[at], true)));
}

}  // namespace

Status check_same_split(const NamedTokenizer& mine, std::span<const TokenId> tokens,
                        const NamedTokenizer& theirs, std::string_view text) {
  const std::vector<TokenId> other = theirs.tokenizer->encode(text);
  const auto differs = std::ranges::mismatch(tokens, other);
  if (differs.in1 == tokens.end() && differs.in2 == other.end()) return {};
  const auto at = static_cast<std::size_t>(differs.in1 - tokens.begin());
  std::size_t byte = 0;
  for (const TokenId token : tokens.first(at)) byte += mine.tokenizer->piece(token).size();
  return fail(
      ErrorKind::invalid,
      "{} and {} split the text differently from token {} (byte {}) on, {} against {}: they "
      "need one tokenizer",
      mine.name, theirs.name, at, byte, quoted(*mine.tokenizer, tokens, at),
      quoted(*theirs.tokenizer, other, at));
}

std::optional<std::string> vocabulary_difference(const NamedTokenizer& mine,
                                                 const NamedTokenizer& theirs) {
  const std::size_t common = std::min(mine.tokenizer->size(), theirs.tokenizer->size());
  std::size_t count = std::max(mine.tokenizer->size(), theirs.tokenizer->size()) - common;
  std::size_t first = common;
  for (std::size_t i = common; i-- > 0;) {
    const auto id = static_cast<TokenId>(i);
    if (mine.tokenizer->piece(id, true) == theirs.tokenizer->piece(id, true)) continue;
    first = i;
    ++count;
  }
  if (count == 0) return std::nullopt;
  const auto piece = [&](const NamedTokenizer& of) {
    return first < of.tokenizer->size()
               ? fmt::format("\"{}\"",
                             clean_line(of.tokenizer->piece(static_cast<TokenId>(first), true)))
               : std::string("nothing");
  };
  return fmt::format("{} entries of the vocabularies differ, the first is {}: {} in {}, {} in {}",
                     count, first, piece(mine), mine.name, piece(theirs), theirs.name);
}

}  // namespace checkbit
