// What the pages and tables of a comparison say about the two files.
//
// Threads: pure functions of open sessions.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "measure/story.h"
#include "run/session.h"

namespace checkbit {

/// Name, size, bits per weight, bytes of each type, bits of each layer.
ModelFacts facts_of(const Session& session);

/// Changed choices as the tokenizer writes them.
std::vector<ChangedText> in_text(std::span<const ChangedChoice> examples,
                                 const Tokenizer& tokenizer);

/// The token that the model puts before every text, if it does so.
std::optional<TokenId> beginning_token(const Tokenizer& tokenizer);

}  // namespace checkbit
