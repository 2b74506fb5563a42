// Values of flags that are more than a word or a number.
//
// Threads: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace checkbit {

/// "90s", "30m", "1h30m" in seconds; none when it is not such a thing.
std::optional<double> parse_duration(std::string_view text);
/// What --budget says must be such a thing. `command` begins the message.
Status check_duration(std::string_view command, std::string_view text);

/// Of flags that may be repeated and hold lists: the parts, empty ones left out.
std::vector<std::string> split_at_commas(const std::vector<std::string>& values);

}  // namespace checkbit
