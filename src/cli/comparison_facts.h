// What the pages and tables of a comparison say about the two files.
//
// Threads: pure functions of open sessions.
#pragma once

#include <optional>

#include "measure/report.h"
#include "run/session.h"

namespace checkbit {

/// Name, size, bits per weight and bytes of each type.
ModelFacts facts_of(const Session& session);

/// Bits per weight by role and layer.
std::vector<StripRow> layer_bits_of(const Session& session);

/// The token that the model puts before every text, if it does so.
std::optional<TokenId> beginning_token(const Tokenizer& tokenizer);

}  // namespace checkbit
