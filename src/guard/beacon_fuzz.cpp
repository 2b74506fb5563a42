// Fuzz target: any text as the list of guarded memory.

#include <cstddef>
#include <cstdint>
#include <string>

#include "guard/beacon.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto regions =
      checkbit::parse_beacon(std::string(reinterpret_cast<const char*>(data), size));
  if (!regions) return 0;
  for (const auto& region : *regions) {
    if (region.name.empty() || region.bytes > UINT64_MAX - region.address) __builtin_trap();
  }
  return 0;
}
