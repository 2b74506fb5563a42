#include "sandbox/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>

namespace checkbit {
namespace {

// Above every number that a child is given, so that placing one cannot overwrite another.
constexpr int kFirstParked = 64;

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (const std::string& text : texts) result.push_back(const_cast<char*>(text.c_str()));
  result.push_back(nullptr);
  return result;
}

struct FileActions {
  FileActions() { posix_spawn_file_actions_init(&actions); }
  ~FileActions() { posix_spawn_file_actions_destroy(&actions); }
  posix_spawn_file_actions_t actions;
};

struct Attributes {
  Attributes() { posix_spawnattr_init(&attributes); }
  ~Attributes() { posix_spawnattr_destroy(&attributes); }
  posix_spawnattr_t attributes;
};

}  // namespace

Result<pid_t> spawn(const SpawnRequest& request) {
  CB_CHECK(!request.command.empty() && request.descriptors.size() < kFirstParked);
  FileActions files;
  std::vector<Descriptor> parked;
  for (std::size_t i = 0; i < request.descriptors.size(); ++i) {
    parked.emplace_back(fcntl(request.descriptors[i], F_DUPFD_CLOEXEC, kFirstParked));
    if (!parked.back().is_open()) {
      return fail(ErrorKind::io, "{}: no descriptor left ({})", request.command[0],
                  std::strerror(errno));
    }
    posix_spawn_file_actions_adddup2(&files.actions, parked.back().get(), static_cast<int>(i));
  }
  posix_spawn_file_actions_addclosefrom_np(&files.actions,
                                           static_cast<int>(request.descriptors.size()));
  posix_spawn_file_actions_addchdir_np(&files.actions, "/");

  Attributes attributes;
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes.attributes, &none);
  posix_spawnattr_setsigdefault(&attributes.attributes, &all);
  posix_spawnattr_setflags(&attributes.attributes,
                           POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t child = -1;
  const int failed =
      posix_spawn(&child, request.command[0].c_str(), &files.actions, &attributes.attributes,
                  pointers(request.command).data(), pointers(request.environment).data());
  if (failed != 0) {
    return fail(failed == ENOENT ? ErrorKind::not_found : ErrorKind::io,
                "{}: cannot be started ({})", request.command[0], std::strerror(failed));
  }
  return child;
}

Result<Pipe> make_pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return fail(ErrorKind::io, "cannot make a pipe ({})", std::strerror(errno));
  }
  Pipe result{Descriptor(ends[0]), Descriptor(ends[1])};
  fcntl(ends[0], F_SETFL, O_NONBLOCK);  // of this end only: the other is a file of its own
  return result;
}

Result<Descriptor> sealed_file(std::string_view bytes) {
  Descriptor file(memfd_create("checkbit", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  while (file.is_open() && !bytes.empty()) {
    const ssize_t written = write(file.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) break;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  if (!file.is_open() || !bytes.empty() || lseek(file.get(), 0, SEEK_SET) != 0 ||
      fcntl(file.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) !=
          0) {
    return fail(ErrorKind::io, "cannot keep a program in memory ({})", std::strerror(errno));
  }
  return file;
}

}  // namespace checkbit
