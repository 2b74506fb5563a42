// Memory errors that the machine itself has counted (Linux EDAC).
//
// What: sums the counters of all memory controllers below `root`, which is laid out like
//   /sys/devices/system/edac/mc: mcN/ce_count corrected, mcN/ue_count uncorrected errors.
// Errors: none; without controllers there is nothing to tell, and a counter that is not a number
//   counts as 0.
// Threads: any. Reads a few small files: not for loops.
// Reference: Linux kernel, Documentation/admin-guide/RAS (EDAC).
#pragma once

#include <optional>
#include <string>

#include "run/session_guard.h"

namespace checkbit {

inline constexpr const char* kEdacRoot = "/sys/devices/system/edac/mc";

std::optional<MachineErrors> read_edac(const std::string& root = kEdacRoot);

}  // namespace checkbit
