// Bytes as they were before gzip, for data sets that are published that way.
//
// Errors: corrupt (damaged, cut short), budget (more than `most_bytes` when unpacked; nothing is
//   allocated beyond that). The message names `path`.
// Threads: any.
// Reference: RFC 1952.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace checkbit {

/// Does it begin as gzip data does?
bool is_gzip(std::string_view bytes);

/// All members of `bytes`, one after the other. Precondition: is_gzip(bytes).
Result<std::string> gunzip(std::string_view bytes, const std::string& path,
                           std::uint64_t most_bytes);

}  // namespace checkbit
