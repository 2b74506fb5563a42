// What kind of text a token is: for asking where a model lost the most.
//
// What: a class from the token's bytes, and for words from whether the token before ends inside
//   one: "inside" is what continues a word or follows its apostrophe, hyphen excluded.
//   Spaces in front do not count; the first character after them decides. Letters are all
//   characters that are not ASCII and not punctuation of Unicode's general or CJK blocks.
// Threads: const after construction.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "run/tokenizer.h"

namespace checkbit {

enum class TokenClass : std::uint8_t {
  word_start,
  word_inside,
  number,
  punctuation,
  white_space,
  other  ///< control tokens, parts of characters
};
constexpr std::size_t kTokenClasses = 6;

/// "word start", "white space": for tables and JSON.
std::string_view to_string(TokenClass kind);

class TokenClasses {
 public:
  explicit TokenClasses(const Tokenizer& tokenizer);
  /// Of one token by its id in `pieces`. For tests and for vocabularies that are no tokenizer's.
  explicit TokenClasses(const std::vector<std::string_view>& pieces);

  /// The class of `token` after `previous`. Ids that are not in the vocabulary are `other`.
  TokenClass of(TokenId previous, TokenId token) const;

 private:
  struct Entry {
    TokenClass kind = TokenClass::other;  ///< a word without a space before it: word_inside
    bool ends_in_word = false;
  };
  static Entry classify(std::string_view bytes);
  const Entry* find(TokenId id) const;

  std::vector<Entry> entries_;
};

}  // namespace checkbit
