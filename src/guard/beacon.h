// Where guarded memory lies, for another process that tests the guard.
//
// What: a guard keeps a small file in memory, named checkbit-guard, with a line "BYTES ADDRESS
// NAME"
//   for each span. Whoever may trace the process finds it below /proc/PID/fd; nobody else can read
//   it, and it goes with the process.
// Errors: read_beacon: not_found (no such process, or it has no beacon), io, corrupt.
// Threads: any.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace checkbit {

struct GuardedRegion {
  std::string name;
  std::uint64_t address = 0;
  std::uint64_t bytes = 0;
};

class Beacon {
 public:
  /// Without regions, or where the system gives no such files, there is none.
  explicit Beacon(const std::vector<GuardedRegion>& regions);
  ~Beacon();
  Beacon(const Beacon&) = delete;
  Beacon& operator=(const Beacon&) = delete;

 private:
  int descriptor_ = -1;
};

Result<std::vector<GuardedRegion>> read_beacon(std::int64_t process);
/// The text of one.
Result<std::vector<GuardedRegion>> parse_beacon(const std::string& text);

}  // namespace checkbit
