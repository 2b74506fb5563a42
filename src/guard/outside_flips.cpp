#include "guard/outside_flips.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <unordered_set>

#include "base/random.h"
#include "guard/beacon.h"

namespace checkbit {

Result<std::vector<std::uint64_t>> flip_from_outside(std::int64_t process,
                                                     const OutsideFlips& what) {
  CB_TRY(const std::vector<GuardedRegion> regions, read_beacon(process));
  const auto region = std::ranges::find(regions, what.span, &GuardedRegion::name);
  if (region == regions.end()) {
    return fail(ErrorKind::not_found, "process {} guards nothing named \"{}\"", process, what.span);
  }
  const std::uint64_t bits = region->bytes * 8;
  if (what.flips > bits / 2) {
    return fail(ErrorKind::invalid, "{} flips are too many for the {} bits of {}", what.flips, bits,
                what.span);
  }
  const std::string path = fmt::format("/proc/{}/mem", process);
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor < 0) return fail(ErrorKind::io, "{}: cannot open: {}", path, std::strerror(errno));
  Random random(what.seed);
  std::unordered_set<std::uint64_t> drawn;
  std::vector<std::uint64_t> flipped;
  while (flipped.size() < what.flips) {
    const std::uint64_t bit = random.below(bits);
    if (!drawn.insert(bit).second) continue;
    const auto at = static_cast<off_t>(region->address + bit / 8);
    std::uint8_t byte = 0;
    const bool read = ::pread(descriptor, &byte, 1, at) == 1;
    byte ^= static_cast<std::uint8_t>(1u << (bit % 8));
    if (!read || ::pwrite(descriptor, &byte, 1, at) != 1) {
      const int reason = errno;
      ::close(descriptor);
      return fail(ErrorKind::io, "{}: byte {} cannot be changed: {}", path, at,
                  std::strerror(reason));
    }
    flipped.push_back(bit);
  }
  ::close(descriptor);
  return flipped;
}

}  // namespace checkbit
