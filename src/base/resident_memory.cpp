#include "base/resident_memory.h"

#include <cstdio>
#include <cstring>

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

}  // namespace checkbit
