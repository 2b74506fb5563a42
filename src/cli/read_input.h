// Text that a flag names: a file, or "-" for standard input.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/console.h"

namespace checkbit {

inline constexpr std::uint64_t kMaxTextInputBytes = 1u << 30;

/// The whole text, byte for byte. Errors: not_found, io (directory, unreadable), budget (over 1
/// GiB).
Result<std::string> read_text_input(const std::string& path, Console& console);

/// What a model reads is UTF-8 and not empty. `name` is what the user called it: "the prompt", a
/// path. Errors: invalid, with the offset of the first bad byte.
Status check_text(std::string_view text, std::string_view name);

}  // namespace checkbit
