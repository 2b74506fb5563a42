// What the processor is called, and what the system says of it beyond the compiler's built-ins.
//
// Errors: none; "unknown" and false where the system does not say. Threads: any; reads a small
// file: not for loops.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace checkbit {

/// The name that the system gives or, of Arm processors, which have only numbers, the one in
/// arm_processors.def; several kinds of core are joined by " + ".
std::string processor_name(const std::string& cpuinfo = "/proc/cpuinfo");

/// Arm: who made a core, and which one it is (MIDR_EL1).
struct ArmProcessor {
  std::uint32_t implementer = 0;
  std::uint32_t part = 0;
  std::string_view name;
};
std::span<const ArmProcessor> arm_processors();

/// x86: tiles of 8-bit integers (AMX-TILE and AMX-INT8), and a system that saves them. Whether this
/// process may use them is another question.
bool processor_has_tiles();

}  // namespace checkbit
