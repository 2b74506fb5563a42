// What token names tell when the file's keys do not: which tokens end generation, which are
// control.
//
// What: many converted files mark control tokens as ordinary text or leave out the end-of-turn
// keys.
//   These rules give the same flags and the same end-of-generation set that other GGUF programs
//   use, so that ids agree. The names stand in special_names.def.
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "run/tokenizer.h"

namespace checkbit {

/// A vocabulary's look-ups, as the rules need them.
struct NamedTokens {
  std::function<std::optional<TokenId>(std::string_view)> find;
  std::span<std::uint8_t> flags;  ///< [size] TokenFlag, changed in place
};

/// Ids that the file's own keys give; the rules fill the empty ones by name.
struct KnownIds {
  std::optional<TokenId> eos, end_of_turn, end_of_message;
  std::optional<TokenId> fim_prefix, fim_suffix, fim_middle, fim_pad, fim_repository, fim_separator;
};

/// [size] true for each token that ends generation.
std::vector<bool> apply_special_names(const NamedTokens& tokens, KnownIds known);

/// White space that special tokens swallow in the text around them. `model_name`: general.name;
/// `pretokenizer`: tokenizer.ggml.pre. `special`: ids of the tokens that are matched in the text.
void apply_strip_rules(const NamedTokens& tokens, std::string_view model_name,
                       std::string_view pretokenizer, std::span<const TokenId> special);

}  // namespace checkbit
