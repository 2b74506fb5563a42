// The first line of a small file of the system (/proc, /sys).
//
// Errors: none; "" when the file cannot be read. Threads: any.
#pragma once

#include <string>

namespace checkbit {

/// At most 64 KiB of it.
std::string first_line(const std::string& path);

}  // namespace checkbit
