#include "sandbox/process_watch.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "sandbox/descriptor.h"

namespace checkbit {
namespace {

// A tree that has more is over every limit already.
constexpr std::size_t kMostProcesses = 8192;

std::string read_small(const std::string& path) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char buffer[4096];
  std::string text;
  while (file.is_open()) {
    const ssize_t count = read(file.get(), buffer, sizeof buffer);
    if (count <= 0) break;
    text.append(buffer, static_cast<std::size_t>(count));
  }
  return text;
}

std::uint64_t resident_bytes(pid_t pid) {
  const std::string text = read_small(fmt::format("/proc/{}/status", pid));
  std::uint64_t total = 0;
  for (const char* key : {"\nRssAnon:", "\nRssShmem:", "\nVmSwap:", "\nHugetlbPages:"}) {
    const std::size_t place = text.find(key);
    if (place == std::string::npos) continue;  // a process that has ended has none
    total += std::strtoull(text.c_str() + place + std::strlen(key), nullptr, 10) << 10;  // in kB
  }
  return total;
}

struct CloseFolder {
  void operator()(DIR* folder) const { closedir(folder); }
};

/// Children belong to the thread that made them.
void add_children(pid_t pid, std::vector<pid_t>& found) {
  const std::string tasks = fmt::format("/proc/{}/task", pid);
  const std::unique_ptr<DIR, CloseFolder> folder(opendir(tasks.c_str()));
  while (folder != nullptr) {
    const dirent* entry = readdir(folder.get());
    if (entry == nullptr) break;
    if (entry->d_name[0] == '.') continue;
    const std::string text = read_small(fmt::format("{}/{}/children", tasks, entry->d_name));
    const char* rest = text.c_str();
    for (char* end = nullptr;; rest = end) {
      const long child = std::strtol(rest, &end, 10);
      if (end == rest) break;
      found.push_back(static_cast<pid_t>(child));
    }
  }
}

}  // namespace

std::uint64_t resident_bytes_of_tree(pid_t root) {
  std::vector<pid_t> tree = {root};
  std::unordered_set<pid_t> seen;
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < tree.size() && i < kMostProcesses; ++i) {
    if (!seen.insert(tree[i]).second) continue;
    total += resident_bytes(tree[i]);
    add_children(tree[i], tree);
  }
  return total;
}

std::uint64_t files_in(pid_t pid, const char* path, std::uint64_t size_bytes) {
  struct statvfs status {};
  if (statvfs(fmt::format("/proc/{}/root{}", pid, path).c_str(), &status) != 0) return 0;
  if (status.f_blocks * status.f_frsize != size_bytes) return 0;
  return status.f_files - status.f_ffree;
}

}  // namespace checkbit
