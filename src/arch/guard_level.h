// How much of a run is guarded against flipped bits, and what the guard counts and calls.
//
// Levels, each with those before it:
//   off     nothing
//   verify  the model's seal is verified at load; packed weights are checksummed and scrubbed
//   check   every product of low-bit weights is checked: its integer sums, exactly
//   full    every product is also computed twice and its floats compared
// Threads: constants and plain values.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>

#include "weights/packed_matrix.h"

namespace checkbit {

enum class GuardLevel { off, verify, check, full };

struct GuardLevelName {
  GuardLevel level;
  std::string_view name;
};
inline constexpr std::array kGuardLevels = {
    GuardLevelName{GuardLevel::off, "off"}, GuardLevelName{GuardLevel::verify, "verify"},
    GuardLevelName{GuardLevel::check, "check"}, GuardLevelName{GuardLevel::full, "full"}};

constexpr std::string_view to_string(GuardLevel level) {
  return kGuardLevels[static_cast<std::size_t>(level)].name;
}
constexpr std::optional<GuardLevel> guard_level(std::string_view name) {
  for (const GuardLevelName& entry : kGuardLevels) {
    if (entry.name == name) return entry.level;
  }
  return std::nullopt;
}

/// Called when products with these matrices stay wrong after they were computed again: verifies
/// and mends their packed bytes. True when it changed something.
/// Threads: called by the thread that evaluates, while no product runs.
using WeightRepair = std::function<bool(std::span<const PackedMatrix* const>)>;

/// What the checks of an executor have seen since it was made.
struct GuardCounters {
  std::uint64_t tokens = 0;      ///< evaluated with checks
  std::uint64_t checks = 0;      ///< comparisons made, one per token and checked product
  std::uint64_t unchecked = 0;   ///< products that no check covers, per token: float weights
  std::uint64_t alarms = 0;      ///< tokens of products that did not agree
  std::uint64_t recomputed = 0;  ///< products computed again
  std::uint64_t repaired = 0;    ///< products that were right only after a repair of their weights
};

}  // namespace checkbit
