#include "base/processor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <vector>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace checkbit {
namespace {

constexpr ArmProcessor kArmProcessors[] = {
#define ARM_PROCESSOR(implementer, part, name) {implementer, part, name},
#include "base/arm_processors.def"
#undef ARM_PROCESSOR
};

/// What stands after the colon when a line is about `key`, else "".
std::string_view value_of(std::string_view line, std::string_view key) {
  if (!line.starts_with(key)) return {};
  line.remove_prefix(key.size());
  const std::size_t start = line.find_first_not_of(" \t:");
  // "model name" is no line about "model": only white space may stand before the colon.
  const std::size_t colon = line.find_first_not_of(" \t");
  if (start == std::string_view::npos || line[colon] != ':') return {};
  return line.substr(start, line.find_last_not_of(" \t\r") + 1 - start);
}

std::uint32_t number_in(std::string_view text) {
  return static_cast<std::uint32_t>(std::strtoul(std::string(text).c_str(), nullptr, 0));
}

std::string arm_name(std::uint32_t implementer, std::uint32_t part) {
  for (const ArmProcessor& each : kArmProcessors) {
    if (each.implementer == implementer && each.part == part) return std::string(each.name);
  }
  return fmt::format("Arm processor {:#04x}, part {:#05x}", implementer, part);
}

}  // namespace

std::span<const ArmProcessor> arm_processors() { return kArmProcessors; }

std::string processor_name(const std::string& cpuinfo) {
  std::ifstream file(cpuinfo);
  std::vector<std::string> kinds;
  std::uint32_t implementer = 0;
  for (std::string line; std::getline(file, line);) {
    if (const auto name = value_of(line, "model name"); !name.empty()) return std::string(name);
    if (const auto number = value_of(line, "CPU implementer"); !number.empty())
      implementer = number_in(number);
    if (const auto number = value_of(line, "CPU part"); !number.empty()) {
      const std::string name = arm_name(implementer, number_in(number));
      if (std::ranges::find(kinds, name) == kinds.end()) kinds.push_back(name);
    }
  }
  return kinds.empty() ? "unknown" : fmt::format("{}", fmt::join(kinds, " + "));
}

bool processor_has_tiles() {
#if defined(__x86_64__)
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  constexpr unsigned kSystemUsesXsave = 1u << 27;  // so that XGETBV is there
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0 || (ecx & kSystemUsesXsave) == 0) return false;
  constexpr unsigned kTileAndInt8 = 3u << 24;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  if ((edx & kTileAndInt8) != kTileAndInt8) return false;
  constexpr unsigned kTileStates = 3u << 17;  // configuration and data, saved by the system
  asm("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
  return (eax & kTileStates) == kTileStates;
#else
  return false;
#endif
}

}  // namespace checkbit
