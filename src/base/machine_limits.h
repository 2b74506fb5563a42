// What the system lets this process use, where that is less than the machine has: limits of its
// control group (cgroup version 1 or 2) and of every group above it.
//
// Errors: none; a limit that is not there or cannot be read counts as none.
// Threads: any. Reads a few small files: not for loops.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace checkbit {

struct MachineLimits {
  std::optional<double> processors;           ///< CPU time per wall time
  std::optional<std::uint64_t> memory_bytes;  ///< resident, this process and others of its group
};

/// `groups` lists the groups of the process, a line each; they are folders below `root`.
MachineLimits machine_limits(const std::string& groups = "/proc/self/cgroup",
                             const std::string& root = "/sys/fs/cgroup");

/// Physical memory or, where it is less, the limit.
std::uint64_t usable_memory_bytes();

}  // namespace checkbit
