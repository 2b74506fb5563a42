#include <unistd.h>

#include <array>
#include <charconv>
#include <fstream>
#include <sstream>

#include "measure/sweep/store.h"

namespace checkbit::detail {
namespace {

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "unknown";
  return name.data();
}

/// Clock ticks after boot, or "" when there is no such process.
std::string start_of(const std::string& pid) {
  std::ifstream file("/proc/" + pid + "/stat");
  std::string line;
  if (!std::getline(file, line)) return "";
  // The name in brackets may hold anything, so fields are counted from its end.
  const std::size_t end = line.rfind(')');
  if (end == std::string::npos) return "";
  std::istringstream fields(line.substr(end + 1));
  constexpr int kStartField = 20;  // the 22nd of proc(5), two of which stand before
  std::string field;
  for (int i = 0; i < kStartField; ++i) fields >> field;
  return field;
}

}  // namespace

std::string process_identity() {
  const std::string pid = std::to_string(::getpid());
  return host_name() + " " + pid + " " + start_of(pid);
}

std::optional<bool> is_alive(const std::string& identity) {
  std::istringstream words(identity);
  std::string host;
  std::string pid;
  std::string start;
  words >> host >> pid >> start;
  if (host != host_name()) return std::nullopt;
  const bool number = !pid.empty() && pid.find_first_not_of("0123456789") == std::string::npos;
  return number && !start.empty() && start_of(pid) == start;
}

}  // namespace checkbit::detail
