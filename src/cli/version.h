// The release, as `checkbit --version` and the environment of reports print it.
#pragma once

namespace checkbit {

inline constexpr const char* kVersion = "0.1.0";

}  // namespace checkbit
