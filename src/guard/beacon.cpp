#include "guard/beacon.h"

#include <sys/mman.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <string_view>

namespace checkbit {
namespace {

constexpr const char* kName = "checkbit-guard";
constexpr std::size_t kMostBytes = 64u << 10;

bool take_number(std::string_view& text, std::uint64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const auto taken = static_cast<std::size_t>(end - text.data());
  if (error != std::errc() || taken >= text.size() || text[taken] != ' ') return false;
  text.remove_prefix(taken + 1);
  return true;
}

}  // namespace

Beacon::Beacon(const std::vector<GuardedRegion>& regions) {
  std::string text;
  for (const GuardedRegion& region : regions)
    text += fmt::format("{} {} {}\n", region.bytes, region.address, region.name);
  if (text.empty() || text.size() > kMostBytes) return;
  descriptor_ = ::memfd_create(kName, MFD_CLOEXEC);
  if (descriptor_ < 0) return;
  if (::write(descriptor_, text.data(), text.size()) == static_cast<ssize_t>(text.size())) return;
  ::close(descriptor_);
  descriptor_ = -1;
}

Beacon::~Beacon() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<std::vector<GuardedRegion>> parse_beacon(const std::string& text) {
  std::vector<GuardedRegion> regions;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    std::string_view line = std::string_view(text).substr(at, end - at);
    GuardedRegion region;
    if (end == std::string::npos || !take_number(line, region.bytes) ||
        !take_number(line, region.address) || line.empty() ||
        region.bytes > UINT64_MAX - region.address) {
      return fail(ErrorKind::corrupt,
                  "byte {} of the list of guarded memory: not BYTES ADDRESS NAME", at);
    }
    region.name = line;
    regions.push_back(std::move(region));
    at = end + 1;
  }
  return regions;
}

Result<std::vector<GuardedRegion>> read_beacon(std::int64_t process) {
  const std::string folder = fmt::format("/proc/{}/fd", process);
  std::error_code error;
  std::filesystem::directory_iterator entries(folder, error);
  if (error) {
    return fail(ErrorKind::not_found, "process {}: its files cannot be listed: {}", process,
                error.message());
  }
  const std::string target = fmt::format("/memfd:{}", kName);
  for (const auto& entry : entries) {
    const std::string link = std::filesystem::read_symlink(entry.path(), error).string();
    if (error || !link.starts_with(target)) continue;
    std::ifstream in(entry.path(), std::ios::binary);
    std::string text(kMostBytes, '\0');
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(in.gcount()));
    return parse_beacon(text);
  }
  return fail(
      ErrorKind::not_found,
      "process {} guards no memory; start it with --guard=check and wait until it has loaded",
      process);
}

}  // namespace checkbit
