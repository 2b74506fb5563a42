// An ending and the context before it as tokens.
//
// What: context and ending are encoded together and split at the length of the context encoded
//   alone, white space at the end of the context counting as the ending's, and the token that the
//   model begins texts with, if any, stands in front: the convention of lm-evaluation-harness. An
//   empty context is that beginning token, or the end token of a model that has no other. Of more
//   than `context_tokens` + 1 tokens, what the model can hold and one that is only predicted, the
//   first are dropped, as there.
// Threads: pure functions.
// Reference: L. Gao et al., "A framework for few-shot language model evaluation", 2021.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "run/tokenizer.h"

namespace checkbit {

/// Tokens of a context with one ending; those from `first_scored` on are the ending's.
/// 1 <= first_scored <= tokens.size().
struct EncodedEnding {
  std::vector<TokenId> tokens;
  std::size_t first_scored = 0;
};

EncodedEnding encode_ending(const Tokenizer& tokenizer, std::string_view context,
                            std::string_view ending, std::size_t context_tokens);

/// The same for several endings of a context: `before` is what encode_context gives, `whole`
/// context and ending.
EncodedEnding join_ending(const Tokenizer& tokenizer, const std::vector<TokenId>& before,
                          std::string_view whole, std::size_t context_tokens);

/// Tokens of a context alone, without the white space at its end.
std::vector<TokenId> encode_context(const Tokenizer& tokenizer, std::string_view context);

}  // namespace checkbit
