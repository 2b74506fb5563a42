// Logits as a .npy file, for comparing engines.
#pragma once

#include <span>
#include <string>

#include "run/session.h"

namespace checkbit {

/// Evaluates `tokens` and writes every row of logits as float32 [tokens, vocabulary]. Gives the
/// hash over all of them. Errors: those of the session and of writing; nothing appears then.
Result<std::string> write_logits(Session& session, std::span<const TokenId> tokens,
                                 const std::string& path);

}  // namespace checkbit
