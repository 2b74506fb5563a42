#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <initializer_list>

#include "sandbox/box.h"

namespace checkbit {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

constexpr std::uint64_t kStackBytes = 8ULL << 20;
constexpr std::uint64_t kPendingSignals = 256;
constexpr const char* kProgram = "/box/program.py";

// The first process of the box: runs the program and passes its status on. Its own words ("Killed")
// are not the program's. When it ends the kernel ends whatever is left.
constexpr const char* kFirstProcess = "exec 3>&2 2>/dev/null; (exec \"$@\" 2>&3 3>&-); exit $?";

Result<std::string> find_program(const char* name, const char* package) {
  for (const char* folder : {"/usr/bin/", "/bin/", "/usr/local/bin/"}) {
    std::string path = std::string(folder) + name;
    if (access(path.c_str(), X_OK) == 0) return path;
  }
  return fail(ErrorKind::unsupported,
              "programs cannot be contained here: no {}; install the package {}", name, package);
}

void append(Words& words, std::initializer_list<std::string> more) {
  words.insert(words.end(), more.begin(), more.end());
}

/// A limit that this process could still set: above its own hard limit there is no way.
std::string limit_flag(const char* flag, int resource, std::uint64_t soft, std::uint64_t hard) {
  rlimit own{};
  if (getrlimit(static_cast<__rlimit_resource_t>(resource), &own) == 0 &&
      own.rlim_max != RLIM_INFINITY) {
    soft = std::min<std::uint64_t>(soft, own.rlim_max);
    hard = std::min<std::uint64_t>(hard, own.rlim_max);
  }
  return fmt::format("--{}={}:{}", flag, soft, hard);
}

void append_limits(Words& words, const ProgramLimits& limits) {
  const auto add = [&](const char* flag, int resource, std::uint64_t most) {
    words.push_back(limit_flag(flag, resource, most, most));
  };
  const auto seconds = static_cast<std::uint64_t>(std::ceil(std::max(1.0, limits.cpu_seconds)));
  words.push_back(limit_flag("cpu", RLIMIT_CPU, seconds, seconds + 1));
  add("as", RLIMIT_AS, limits.memory_bytes);
  add("nproc", RLIMIT_NPROC, limits.processes + 1);  // the first process is one
  add("nofile", RLIMIT_NOFILE, limits.open_files);
  add("fsize", RLIMIT_FSIZE, limits.file_bytes);
  add("core", RLIMIT_CORE, 0);
  add("memlock", RLIMIT_MEMLOCK, 0);
  add("msgqueue", RLIMIT_MSGQUEUE, 0);
  add("sigpending", RLIMIT_SIGPENDING, kPendingSignals);
  add("stack", RLIMIT_STACK, kStackBytes);
}

/// /usr and what leads there, nothing else of the machine.
void append_system_files(Words& words) {
  append(words, {"--ro-bind", "/usr", "/usr"});
  for (const char* name : {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}) {
    std::error_code none;
    if (fs::is_symlink(name, none)) {
      append(words, {"--symlink", fs::read_symlink(name, none).string(), name});
    } else if (fs::is_directory(name, none)) {
      append(words, {"--ro-bind", name, name});
    }
  }
  append(words, {"--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"});
  for (const char* device : {"/dev/null", "/dev/random", "/dev/urandom"}) {
    append(words, {"--dev-bind", device, device});
  }
}

void append_box(Words& words, const ProgramRequest& request, const BoxPolicy& policy) {
  append(words,
         {"--unshare-user", "--uid", "65534", "--gid", "65534", "--cap-drop", "ALL",
          "--die-with-parent", "--new-session", "--json-status-fd", std::to_string(+kBoxStatus)});
  if (policy.own_namespaces) append(words, {"--unshare-all", "--as-pid-1", "--disable-userns"});
  if (policy.filters_calls) append(words, {"--seccomp", std::to_string(+kBoxFilter)});
  if (policy.hides_files) {
    append_system_files(words);
    append(words, {"--size", std::to_string(request.limits.scratch_bytes), "--tmpfs", "/tmp"});
  } else {
    append(words, {"--bind", "/", "/", "--dev-bind", "/dev", "/dev"});
    if (policy.own_namespaces) append(words, {"--proc", "/proc"});
  }
  if (policy.hides_files) {
    append(words, {"--ro-bind-data", std::to_string(+kBoxSource), kProgram, "--remount-ro", "/"});
  }
  append(words, {"--chdir", "/tmp", "--clearenv", "--setenv", "PATH",
                 "/usr/local/bin:/usr/bin:/bin", "--setenv", "HOME", "/tmp", "--setenv", "LANG",
                 "C.UTF-8", "--setenv", "PYTHONHASHSEED", "0", "--"});
}

}  // namespace

Result<std::vector<std::string>> box_command(const ProgramRequest& request,
                                             const BoxPolicy& policy) {
  CB_TRY(const std::string box, find_program("bwrap", "bubblewrap"));
  CB_TRY(const std::string prlimit, find_program("prlimit", "util-linux"));
  Words words;
  if (geteuid() == 0) {
    CB_TRY(const std::string setpriv, find_program("setpriv", "util-linux"));
    const std::string user = std::to_string(kBoxUser);
    append(words, {setpriv, "--reuid", user, "--regid", user, "--clear-groups", "--inh-caps=-all"});
  }
  words.push_back(box);
  append_box(words, request, policy);
  append(words, {"/bin/sh", "-c", kFirstProcess, "box"});
  if (policy.limits) {
    words.push_back(prlimit);
    append_limits(words, request.limits);
  }
  if (request.argv.empty()) {
    CB_TRY(const std::string python, find_program("python3", "python3"));
    // Not -I: that would drop PYTHONHASHSEED. Without site there are no packages of the machine.
    const std::string program =
        policy.hides_files ? kProgram : fmt::format("/dev/fd/{}", +kBoxSource);
    append(words, {python, "-s", "-S", "-B", program});
  } else {
    words.insert(words.end(), request.argv.begin(), request.argv.end());
  }
  return words;
}

}  // namespace checkbit
