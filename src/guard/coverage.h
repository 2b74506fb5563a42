// What each guard level covers of a session, and what stays open.
//
// What: one row for each kind of bytes or operations, with the counts of the session at hand and a
//   word for each level: how it is guarded, or "open".
// Units: bytes; operations for one generated token.
// Threads: as for the session.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "arch/guard_level.h"
#include "run/session.h"

namespace checkbit {

inline constexpr std::string_view kOpen = "open";

struct CoverageRow {
  std::string part;
  std::uint64_t count = 0;
  bool is_bytes = true;  ///< else operations a token
  std::array<std::string, kGuardLevels.size()> by_level;
};

std::vector<CoverageRow> coverage_table(Session& session);

struct CoverageSum {
  std::uint64_t covered_bytes = 0;
  std::uint64_t open_bytes = 0;
  std::uint64_t covered_operations = 0;
  std::uint64_t open_operations = 0;
};
CoverageSum sum_coverage(const std::vector<CoverageRow>& rows, GuardLevel level);

}  // namespace checkbit
