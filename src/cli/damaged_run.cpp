#include "cli/damaged_run.h"

#include <sys/mman.h>
#include <sys/wait.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/progress.h"
#include "cli/console.h"
#include "guard/beacon.h"
#include "guard/outside_flips.h"
#include "sandbox/spawn.h"

namespace checkbit {
namespace {

using Json = nlohmann::ordered_json;

std::string all_of(int descriptor) {
  std::string text;
  char buffer[4096];
  for (ssize_t n = 0;
       (n = ::pread(descriptor, buffer, sizeof buffer, static_cast<off_t>(text.size()))) > 0;)
    text.append(buffer, static_cast<std::size_t>(n));
  return text;
}

/// The running program with other words, and what it printed. `meanwhile` may end early.
Result<Json> run_itself(std::vector<std::string> words,
                        const std::function<Status(pid_t)>& meanwhile) {
  std::error_code error;
  words.insert(words.begin(), std::filesystem::read_symlink("/proc/self/exe", error).string());
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) environment.emplace_back(*entry);
  CB_TRY(const Descriptor nothing, sealed_file(""));
  const Descriptor output(::memfd_create("checkbit-output", MFD_CLOEXEC));
  if (!output.is_open()) return fail(ErrorKind::io, "no file in memory for a program's output");
  CB_TRY(const pid_t child,
         spawn({words, environment, {nothing.get(), output.get(), STDERR_FILENO}}));
  const Status happened = meanwhile(child);
  int status = 0;
  if (!happened) ::kill(child, SIGKILL);
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!happened) return happened.error();
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    return fail(ErrorKind::invalid, "this run failed: {}", shell_quote(words));
  Json json = Json::parse(all_of(output.get()), nullptr, false);
  if (!json.is_object()) return fail(ErrorKind::corrupt, "no JSON from {}", shell_quote(words));
  return json;
}

bool has_ended(pid_t child) {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
         info.si_pid != 0;
}

/// A file out of the way, and back again in the end.
class Hidden {
 public:
  explicit Hidden(const std::string& path) : path_(path), place_(path + ".out-of-reach") {}
  Status hide() {
    std::error_code error;
    std::filesystem::rename(path_, place_, error);
    if (error) return fail(ErrorKind::io, "{}: cannot be moved: {}", path_, error.message());
    hidden_ = true;
    return {};
  }
  ~Hidden() {
    std::error_code ignored;
    if (hidden_) std::filesystem::rename(place_, path_, ignored);
  }
  Hidden(const Hidden&) = delete;
  Hidden& operator=(const Hidden&) = delete;

 private:
  std::string path_;
  std::string place_;
  bool hidden_ = false;
};

/// Waits until the child guards its memory, then damages it.
Status damage(pid_t child, const std::string& model, std::uint64_t flips, std::uint64_t seed,
              Hidden& hidden) {
  using namespace std::chrono_literals;
  while (!read_beacon(child)) {
    if (has_ended(child)) return {};  // its exit status says why
    if (cancel_requested()) return cancelled_error();
    std::this_thread::sleep_for(2ms);
  }
  CB_TRY_STATUS(hidden.hide());
  auto flipped = flip_from_outside(child, {.flips = flips, .seed = seed});
  if (flipped) return {};
  Error error = flipped.error();
  error.message = fmt::format("{}: {}", model, error.message);
  return error;
}

double record_of(const Json& json, std::string_view name) {
  for (const Json& record : json.value("records", Json::array())) {
    if (record.value("name", "") == name && record["value"].is_number())
      return record["value"].get<double>();
  }
  return 0;
}

std::string hash_of(const Json& json) {
  for (const Json& record : json.value("records", Json::array())) {
    if (record.value("name", "") == "logits_hash" && record["value"].is_string())
      return record["value"].get<std::string>();
  }
  return "";
}

}  // namespace

Result<DamagedRun> run_damaged(const std::string& model, const std::vector<std::string>& words,
                               std::uint64_t flips, std::uint64_t seed) {
  const std::string path = std::filesystem::absolute(model).string();  // it runs in folder /
  std::vector<std::string> all = {"run", path, "--guard", "check", "--json", "--quiet"};
  all.insert(all.end(), words.begin(), words.end());
  CB_TRY(const Json unharmed, run_itself(all, [](pid_t) { return Status(); }));
  Hidden hidden(path);
  CB_TRY(const Json damaged,
         run_itself(all, [&](pid_t child) { return damage(child, model, flips, seed, hidden); }));
  DamagedRun run;
  run.flips = flips;
  run.unharmed_text = unharmed.value("text", "");
  run.damaged_text = damaged.value("text", "");
  run.same_logits = !hash_of(damaged).empty() && hash_of(damaged) == hash_of(unharmed) &&
                    run.unharmed_text == run.damaged_text;
  const auto count = [&](std::string_view name) {
    return static_cast<std::uint64_t>(record_of(damaged, name));
  };
  run.repaired_bits = count("guard_repaired_bits");
  run.repaired_blocks = count("guard_repaired_blocks");
  run.from_file = count("guard_repaired_from_file");
  run.alarms = count("guard_alarms");
  run.repair_p99_seconds = record_of(damaged, "guard_repair_p99_seconds");
  run.command = "checkbit " + shell_quote(all);
  return run;
}

}  // namespace checkbit
