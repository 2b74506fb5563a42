#include "guard/edac.h"

#include <charconv>
#include <filesystem>

#include "base/first_line.h"

namespace checkbit {
namespace {

std::uint64_t counter(const std::filesystem::path& path) {
  const std::string text = first_line(path.string());
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  return std::from_chars(text.data(), end, value).ec == std::errc() ? value : 0;
}

}  // namespace

std::optional<MachineErrors> read_edac(const std::string& root) {
  std::error_code none;
  std::optional<MachineErrors> sum;
  for (const auto& entry : std::filesystem::directory_iterator(root, none)) {
    const std::string name = entry.path().filename().string();
    const bool controller = name.size() > 2 && name.starts_with("mc") &&
                            name.find_first_not_of("0123456789", 2) == std::string::npos;
    if (!controller) continue;
    if (!sum) sum.emplace();
    sum->corrected += counter(entry.path() / "ce_count");
    sum->uncorrected += counter(entry.path() / "ue_count");
  }
  return sum;
}

}  // namespace checkbit
