// Operations on text that both string methods and filters use.
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "run/jinja/value.h"

namespace checkbit::jinja {

/// Without the leading and/or trailing characters that occur in `chars`; white space when null.
std::string_view strip(std::string_view text, const std::string* chars, bool left, bool right);
/// At most `count` replacements from the left; all when negative.
std::string replace(Runtime& runtime, std::string_view text, std::string_view from,
                    std::string_view to, std::int64_t count);
/// str.splitlines: at \n, \r\n, \r and the other line boundaries of Unicode.
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends);
/// `text` in a field of `width` characters: spaces go left when `left`, right when `right`, to both
/// sides when both.
std::string pad(Runtime& runtime, std::string_view text, std::int64_t width, std::string_view fill,
                bool left, bool right);

}  // namespace checkbit::jinja
