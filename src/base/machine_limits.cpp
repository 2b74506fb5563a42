#include "base/machine_limits.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <string_view>
#include <vector>

#include "base/first_line.h"

namespace checkbit {
namespace {

/// Version 1 writes "no limit" as the largest multiple of a page in 63 bits.
constexpr std::uint64_t kNoLimitBytes = std::uint64_t{1} << 60;

/// The number at the start of a line, if there is one ("max" is none).
template <class Number>
std::optional<Number> number_of(std::string_view line) {
  Number value{};
  const auto parsed = std::from_chars(line.data(), line.data() + line.size(), value);
  return parsed.ec == std::errc() ? std::optional(value) : std::nullopt;
}

template <class Number>
void lower(std::optional<Number>& limit, std::optional<Number> other) {
  if (other && (!limit || *other < *limit)) limit = other;
}

void add_processors(std::optional<std::int64_t> quota, std::optional<std::int64_t> period,
                    MachineLimits& limits) {
  if (!quota || !period || *quota <= 0 || *period <= 0) return;  // version 1: -1 is none
  lower(limits.processors,
        std::optional(static_cast<double>(*quota) / static_cast<double>(*period)));
}

void add_memory(std::optional<std::uint64_t> bytes, MachineLimits& limits) {
  if (bytes && *bytes < kNoLimitBytes) lower(limits.memory_bytes, bytes);
}

/// What one group's folder says, in either version's words.
void add_group(const std::string& folder, MachineLimits& limits) {
  const std::string line = first_line(folder + "/cpu.max");  // "200000 100000" or "max 100000"
  const std::size_t space = line.find(' ');
  if (space != std::string::npos) {
    add_processors(number_of<std::int64_t>(line),
                   number_of<std::int64_t>(std::string_view(line).substr(space + 1)), limits);
  }
  add_processors(number_of<std::int64_t>(first_line(folder + "/cpu.cfs_quota_us")),
                 number_of<std::int64_t>(first_line(folder + "/cpu.cfs_period_us")), limits);
  add_memory(number_of<std::uint64_t>(first_line(folder + "/memory.max")), limits);
  add_memory(number_of<std::uint64_t>(first_line(folder + "/memory.limit_in_bytes")), limits);
}

/// The group and those above it. In a container the path may name a folder outside of what is
/// mounted; then only the groups that can be seen count.
void add_groups(const std::string& root, std::string path, MachineLimits& limits) {
  while (path.size() > 1) {
    add_group(root + path, limits);
    path.resize(path.rfind('/'));
  }
  add_group(root, limits);
}

}  // namespace

MachineLimits machine_limits(const std::string& groups, const std::string& root) {
  MachineLimits limits;
  add_groups(root, "", limits);
  std::ifstream file(groups);
  std::string line;  // "0::/user.slice" or "4:cpu,cpuacct:/docker/0123"
  while (std::getline(file, line)) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos || line[second + 1] != '/') continue;
    const std::string path = line.substr(second + 1);
    const std::string_view controllers =
        std::string_view(line).substr(first + 1, second - first - 1);
    if (controllers.empty()) add_groups(root, path, limits);
    for (const std::string_view wanted : {"cpu", "memory"}) {
      std::string_view rest = controllers;
      while (!rest.empty()) {
        const std::string_view name = rest.substr(0, rest.find(','));
        rest.remove_prefix(std::min(rest.size(), name.size() + 1));
        if (name == wanted) add_groups(root + "/" + std::string(wanted), path, limits);
      }
    }
  }
  return limits;
}

std::uint64_t usable_memory_bytes() {
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long page_bytes = sysconf(_SC_PAGE_SIZE);
  const std::uint64_t physical =
      pages > 0 && page_bytes > 0
          ? static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page_bytes)
          : UINT64_MAX;
  return std::min(physical, machine_limits().memory_bytes.value_or(physical));
}

}  // namespace checkbit
