// Whether two models share a tokenizer, and where they do not.
//
// What: divergence compares predictions id by id, so both models must give every id the same
//   meaning. What decides is the text: split differently anywhere, the measurement is refused;
//   entries of the vocabulary that differ without touching the text (renamed control tokens of a
//   fine-tuned model) are only worth a note.
// Threads: pure functions.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "run/tokenizer.h"

namespace checkbit {

struct NamedTokenizer {
  std::string name;  ///< the model's file
  const Tokenizer* tokenizer;
};

/// `tokens`: what `mine` makes of the text. Error: invalid, with the token, the byte and both
/// pieces at the first difference.
Status check_same_split(const NamedTokenizer& mine, std::span<const TokenId> tokens,
                        const NamedTokenizer& theirs, std::string_view text);

/// "3 entries of the vocabularies differ, the first is 12: "<a>" in x.gguf, "<b>" in y.gguf"
std::optional<std::string> vocabulary_difference(const NamedTokenizer& mine,
                                                 const NamedTokenizer& theirs);

}  // namespace checkbit
