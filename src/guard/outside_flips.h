// Flips bits in the memory of another process, as a fault of the memory would: for tests of a
// guard.
//
// What: draws bits that differ from one another, uniformly over the spans of one name that the
// other
//   process guards (guard/beacon.h), and flips each through /proc/PID/mem. The other process is not
//   stopped and not asked.
// Errors: not_found (process, beacon, span); invalid (more flips than bits); io (the system does
// not
//   let this process write there: it has to be of the same user, and where ptrace is restricted an
//   ancestor).
// Units: bits; `bit` counts from the span's first byte, lowest bit first.
// Threads: any.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace checkbit {

struct OutsideFlips {
  std::string span = "packed weights";
  std::uint64_t flips = 200;
  std::uint64_t seed = 0;
};

/// The bits flipped, in the order drawn. After an error some may have been flipped.
Result<std::vector<std::uint64_t>> flip_from_outside(std::int64_t process,
                                                     const OutsideFlips& what);

}  // namespace checkbit
