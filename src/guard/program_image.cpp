#include "guard/program_image.h"

#include <link.h>

#include "base/test_sanitizers.h"

namespace checkbit {

std::vector<ProgramSegment> program_segments() {
  std::vector<ProgramSegment> segments;
  // A sanitizer keeps places between constants that nobody may read.
  if (kUnderSanitizer) return segments;
  // The first object is the main program.
  const auto first_only = [](dl_phdr_info* info, std::size_t, void* context) {
    auto& found = *static_cast<std::vector<ProgramSegment>*>(context);
    for (int i = 0; i < info->dlpi_phnum; ++i) {
      const auto& header = info->dlpi_phdr[i];
      if (header.p_type != PT_LOAD || (header.p_flags & PF_W) != 0 || (header.p_flags & PF_R) == 0)
        continue;
      constexpr std::uintptr_t kWord = sizeof(std::uint64_t);
      const std::uintptr_t begin = (info->dlpi_addr + header.p_vaddr + kWord - 1) / kWord * kWord;
      const std::uintptr_t end = info->dlpi_addr + header.p_vaddr + header.p_memsz;
      if (begin >= end) continue;
      found.push_back(
          {{reinterpret_cast<std::uint8_t*>(begin), end - begin}, (header.p_flags & PF_X) != 0});
    }
    return 1;
  };
  dl_iterate_phdr(first_only, &segments);
  return segments;
}

}  // namespace checkbit
