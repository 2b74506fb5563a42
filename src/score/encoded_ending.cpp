#include "score/encoded_ending.h"

#include <algorithm>
#include <string>

#include "run/jinja/unicode.h"

namespace checkbit {
namespace {

/// Tokens of a text as the model begins texts, without the token it may end them with.
std::vector<TokenId> encode_open(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<TokenId> tokens = tokenizer.encode(text, {.add_special = false});
  const std::vector<TokenId> special = tokenizer.encode("");
  if (!special.empty() && special.front() == tokenizer.bos())
    tokens.insert(tokens.begin(), special.front());
  return tokens;
}

}  // namespace

std::vector<TokenId> encode_context(const Tokenizer& tokenizer, std::string_view context) {
  return encode_open(tokenizer, context.substr(0, context.size() - jinja::trailing_space(context)));
}

EncodedEnding join_ending(const Tokenizer& tokenizer, const std::vector<TokenId>& before,
                          std::string_view whole, std::size_t context_tokens) {
  EncodedEnding encoded{before, 0};
  const std::vector<TokenId> together = encode_open(tokenizer, whole);
  const std::size_t split = encoded.tokens.size();
  if (split < together.size())
    encoded.tokens.insert(encoded.tokens.end(),
                          together.begin() + static_cast<std::ptrdiff_t>(split), together.end());
  encoded.first_scored = split;
  if (split == 0) {
    const auto beginning = tokenizer.bos() ? tokenizer.bos() : tokenizer.eos();
    encoded.tokens.insert(encoded.tokens.begin(), beginning.value_or(0));
    encoded.first_scored = 1;
  }
  if (encoded.tokens.size() > context_tokens + 1) {
    const std::size_t dropped = encoded.tokens.size() - context_tokens - 1;
    encoded.tokens.erase(encoded.tokens.begin(),
                         encoded.tokens.begin() + static_cast<std::ptrdiff_t>(dropped));
    encoded.first_scored = encoded.first_scored > dropped ? encoded.first_scored - dropped : 1;
    encoded.first_scored = std::max<std::size_t>(encoded.first_scored, 1);
  }
  return encoded;
}

EncodedEnding encode_ending(const Tokenizer& tokenizer, std::string_view context,
                            std::string_view ending, std::size_t context_tokens) {
  return join_ending(tokenizer, encode_context(tokenizer, context),
                     std::string(context) + std::string(ending), context_tokens);
}

}  // namespace checkbit
