#include "base/resident_memory.h"

#include <sys/prctl.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "base/first_line.h"

namespace checkbit {
namespace {

std::uint64_t status_bytes(const char* key) {
  std::FILE* file = std::fopen("/proc/self/status", "r");
  if (file == nullptr) return 0;
  char line[256];
  unsigned long long kib = 0;
  while (std::fgets(line, sizeof line, file) != nullptr) {
    if (std::strncmp(line, key, std::strlen(key)) == 0 && std::sscanf(line + std::strlen(key), " %llu", &kib) == 1) break;
  }
  std::fclose(file);
  return kib * 1024;
}

}  // namespace

std::uint64_t resident_bytes() { return status_bytes("VmRSS:"); }
std::uint64_t peak_resident_bytes() { return status_bytes("VmHWM:"); }

std::uint64_t large_page_bytes(std::span<const std::uint8_t> memory, const std::string& maps) {
  const auto first = reinterpret_cast<std::uintptr_t>(memory.data());
  const auto last = first + memory.size();
  std::ifstream file(maps);
  std::uint64_t bytes = 0;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    std::uint64_t kib = 0;
    if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " ", &begin, &end) == 2) {
      inside = begin < last && end > first;
    } else if (inside && std::sscanf(line.c_str(), "AnonHugePages: %" SCNu64, &kib) == 1) {
      bytes += kib * 1024;
    }
  }
  return std::min<std::uint64_t>(bytes, memory.size());
}

bool large_pages_are_off(const std::string& setting) {
  return prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1 ||
         first_line(setting).find("[never]") != std::string::npos;
}

}  // namespace checkbit
