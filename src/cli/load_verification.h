// The check of a model's seal before it is loaded under --guard=verify and above.
#pragma once

#include <string>

#include "base/result.h"
#include "cli/console.h"

namespace checkbit {

/// Reads every part of the model once and compares it with its seal; says what it found. Without a
/// seal that is a note. Errors: corrupt, with the command that mends; those of Seal::open.
Status verify_before_load(const std::string& path, int threads, Console& console);

}  // namespace checkbit
