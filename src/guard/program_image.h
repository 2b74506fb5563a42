// The parts of the running program that nobody writes: its code, and its constant tables.
//
// What: the segments of the main program that are loaded without write permission. A debugger's
//   breakpoint is a change of them.
// Threads: any.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace checkbit {

struct ProgramSegment {
  std::span<std::uint8_t> bytes;
  bool executable = false;
};

/// Empty where the system does not tell.
std::vector<ProgramSegment> program_segments();

}  // namespace checkbit
