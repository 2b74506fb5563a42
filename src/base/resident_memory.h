// Memory of this process as the kernel counts it (Linux: /proc/self).
//
// Units: bytes; 0 where the system does not say. Threads: any.
#pragma once

#include <cstdint>

namespace checkbit {

std::uint64_t resident_bytes();       ///< now
std::uint64_t peak_resident_bytes();  ///< the most so far

}  // namespace checkbit
