// Reading one member of a wheel (a zip file) from untrusted bytes. Private to file/.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace checkbit {

using ByteSink = std::function<Status(std::span<const std::uint8_t>)>;

/// Gives `sink` the bytes of the one member that matches `pattern` ('*' also matches '/'), in
/// pieces. Errors: corrupt (not a zip file, not exactly one such member, more than `most_bytes`,
/// damaged data), and those of the sink.
Status read_wheel_member(const std::string& wheel_path, std::string_view pattern,
                         std::uint64_t most_bytes, const ByteSink& sink);

}  // namespace checkbit
