#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <optional>

#include "base/progress.h"
#include "sandbox/box.h"
#include "sandbox/process_watch.h"
#include "sandbox/spawn.h"
#include "sandbox/syscall_filter.h"

namespace checkbit {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kMostSourceBytes = 1ULL << 20;
constexpr std::uint64_t kStatusBytes = 64ULL << 10;
constexpr int kMostReadsAtEnd = 64;
constexpr auto kWatchEvery = std::chrono::milliseconds(10);
// Time in which this process stood still (stopped, frozen, suspended) is not the program's: it
// mostly stood still as well.
constexpr double kLongestLook = 1;
constexpr auto kDeathGrace = std::chrono::seconds(2);

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// One stream of the program: what comes is read, the start of it is kept.
struct Stream {
  Descriptor end;
  std::string kept;
  std::uint64_t most_kept = 0;
  std::uint64_t seen = 0;

  /// Reads what is there, up to one buffer. False: nothing there now, or closed.
  bool read_some() {
    if (!end.is_open()) return false;
    std::array<char, 1 << 16> buffer;
    const ssize_t count = read(end.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) return true;
    if (count == 0) end.close();
    if (count <= 0) return false;
    const auto bytes = static_cast<std::size_t>(count);
    seen += bytes;
    kept.append(buffer.data(), std::min<std::size_t>(bytes, most_kept - kept.size()));
    return true;
  }
  bool cut() const { return seen > kept.size(); }
};

/// The number after `"key":` in bubblewrap's status lines.
std::optional<std::uint64_t> status_number(const std::string& text, std::string_view key) {
  const std::size_t place = text.find(fmt::format("\"{}\":", key));
  if (place == std::string::npos) return std::nullopt;
  return std::strtoull(text.c_str() + place + key.size() + 3, nullptr, 10);
}

/// The kernel's handle of a process: unlike its number, never that of another one.
Descriptor process_handle(pid_t pid) {
  return Descriptor(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
}

class BoxRun {
 public:
  BoxRun(const ProgramRequest& request, const BoxPolicy& policy)
      : limits_(request.limits), watches_(policy.watches) {
    output_.most_kept = error_output_.most_kept = limits_.kept_output_bytes;
    status_.most_kept = kStatusBytes;
  }
  BoxRun(const BoxRun&) = delete;
  ~BoxRun() {
    if (pid_ > 0) {  // only after an error between start and the end of the loop
      kill(pid_, SIGKILL);
      reap();
    }
  }

  Status start(const ProgramRequest& request, const BoxPolicy& policy);
  Result<ProgramOutcome> watch();

 private:
  void wait_for_news();
  void check_limits();
  void stop(ProgramStop why);
  void end_box();
  void reap();
  void drain();
  Result<ProgramOutcome> outcome();

  ProgramLimits limits_;
  bool watches_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point next_watch_ = start_;
  Clock::time_point last_look_ = start_;
  double counted_seconds_ = 0;  ///< of the program's wall time
  pid_t pid_ = -1;              ///< bubblewrap, in the end; 0 after it was reaped
  Descriptor handle_;
  Descriptor first_process_;  ///< of the box; when it ends all of them end
  pid_t first_pid_ = 0;
  Stream output_, error_output_, status_;
  bool exited_ = false;
  bool cancelled_ = false;
  bool stopping_ = false;
  Clock::time_point kill_all_at_;
  ProgramStop stop_ = ProgramStop::none;
  int wait_status_ = 0;
  rusage usage_{};
  std::uint64_t peak_bytes_ = 0;
};

Status BoxRun::start(const ProgramRequest& request, const BoxPolicy& policy) {
  SpawnRequest spawned;
  CB_TRY(spawned.command, box_command(request, policy));
  CB_TRY(const std::string filter_bytes, syscall_filter());
  CB_TRY(const Descriptor input, sealed_file(request.input));
  CB_TRY(const Descriptor filter, sealed_file(filter_bytes));
  CB_TRY(const Descriptor source, sealed_file(request.source));
  CB_TRY(Pipe output, make_pipe());
  CB_TRY(Pipe error_output, make_pipe());
  CB_TRY(Pipe status, make_pipe());
  spawned.environment = {"PATH=/usr/bin:/bin", "LC_ALL=C"};
  spawned.descriptors = {input.get(),
                         output.write_end.get(),
                         error_output.write_end.get(),
                         status.write_end.get(),
                         filter.get(),
                         source.get()};
  CB_TRY(pid_, spawn(spawned));
  handle_ = process_handle(pid_);
  if (!handle_.is_open()) {
    return fail(ErrorKind::unsupported,
                "programs cannot be contained here: the kernel has no pidfd_open ({}); Linux 5.14 "
                "or newer is needed",
                std::strerror(errno));
  }
  // Should memory run out all the same, the kernel takes the box first.
  const Descriptor score(
      open(fmt::format("/proc/{}/oom_score_adj", pid_).c_str(), O_WRONLY | O_CLOEXEC));
  if (score.is_open() && write(score.get(), "1000", 4) < 0) errno = 0;
  output_.end = std::move(output.read_end);
  error_output_.end = std::move(error_output.read_end);
  status_.end = std::move(status.read_end);
  return {};
}

Result<ProgramOutcome> BoxRun::watch() {
  while (!exited_) {
    wait_for_news();
    if (!exited_) check_limits();
  }
  reap();
  drain();
  if (cancelled_) return cancelled_error();
  return outcome();
}

void BoxRun::wait_for_news() {
  // A closed descriptor is -1, which poll passes over.
  std::array<pollfd, 4> events = {{{handle_.get(), POLLIN, 0},
                                   {output_.end.get(), POLLIN, 0},
                                   {error_output_.end.get(), POLLIN, 0},
                                   {status_.end.get(), POLLIN, 0}}};
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(next_watch_ - Clock::now());
  const int ready =
      poll(events.data(), events.size(), std::max<int>(0, static_cast<int>(wait.count())));
  if (ready <= 0) return;
  exited_ = events[0].revents != 0;
  if (events[1].revents != 0) output_.read_some();
  if (events[2].revents != 0) error_output_.read_some();
  if (events[3].revents != 0) status_.read_some();
  if (first_pid_ == 0) {
    if (const auto pid = status_number(status_.kept, "child-pid")) {
      first_pid_ = static_cast<pid_t>(*pid);
      first_process_ = process_handle(first_pid_);
    }
  }
}

void BoxRun::check_limits() {
  const auto now = Clock::now();
  if (stopping_) {
    if (now >= kill_all_at_) kill(pid_, SIGKILL);
    next_watch_ = now + kWatchEvery;
    return;
  }
  if (output_.seen + error_output_.seen > limits_.most_output_bytes)
    return stop(ProgramStop::output);
  if (now < next_watch_) return;
  next_watch_ = now + kWatchEvery;
  if (cancel_requested()) {
    cancelled_ = true;
    return end_box();
  }
  counted_seconds_ += std::min(seconds_since(last_look_), kLongestLook);
  last_look_ = now;
  if (counted_seconds_ >= limits_.wall_seconds) return stop(ProgramStop::wall_time);
  if (first_pid_ == 0 || !watches_) return;
  const std::uint64_t resident = resident_bytes_of_tree(first_pid_);
  peak_bytes_ = std::max(peak_bytes_, resident);
  if (resident > limits_.memory_bytes) return stop(ProgramStop::memory);
  if (files_in(first_pid_, "/tmp", limits_.scratch_bytes) > limits_.scratch_files) {
    stop(ProgramStop::scratch_files);
  }
}

void BoxRun::stop(ProgramStop why) {
  stop_ = why;
  end_box();
}

/// Ends the first process, hence all of the box; bubblewrap outside waits for that and leaves. Were
/// bubblewrap killed instead, nobody would reap the first process.
void BoxRun::end_box() {
  stopping_ = true;
  kill_all_at_ = Clock::now() + kDeathGrace;
  next_watch_ = Clock::now() + kWatchEvery;
  if (!first_process_.is_open() ||
      syscall(SYS_pidfd_send_signal, first_process_.get(), SIGKILL, nullptr, 0) != 0) {
    kill(pid_, SIGKILL);
  }
}

void BoxRun::reap() {
  while (wait4(pid_, &wait_status_, 0, &usage_) < 0 && errno == EINTR) {
  }
  pid_ = 0;
}

/// What was written before the end and not read yet: at most what the pipes hold.
void BoxRun::drain() {
  for (Stream* stream : {&output_, &error_output_, &status_}) {
    for (int reads = 0; reads < kMostReadsAtEnd && stream->read_some(); ++reads) {
    }
  }
}

/// What can be done about bubblewrap's refusal.
const char* advice(const std::string& words) {
  const auto has = [&](const char* part) { return words.find(part) != std::string::npos; };
  if (has("disable-userns") || has("json-status-fd") || has("Unknown option")) {
    return "install bubblewrap 0.8 or newer";
  }
  if (has("setresuid") || has("setgroups") || has("setuid")) {
    return "the container maps too few users: it must know user 65533";
  }
  return "the kernel must let ordinary users make namespaces: sysctl "
         "kernel.unprivileged_userns_clone=1 "
         "(Debian), kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), "
         "user.max_user_namespaces "
         "above 0; inside Docker or Podman: --security-opt seccomp=unconfined --security-opt "
         "systempaths=unconfined";
}

Result<ProgramOutcome> BoxRun::outcome() {
  // bubblewrap tells the status only of a program that it got as far as starting.
  if (stop_ == ProgramStop::none && !status_number(status_.kept, "exit-code")) {
    std::string words = error_output_.kept.substr(0, error_output_.kept.find('\n'));
    if (words.empty()) words = fmt::format("bubblewrap ended with status {}", wait_status_);
    return fail(ErrorKind::unsupported, "programs cannot be contained here: {}; {}", words,
                advice(words));
  }
  ProgramOutcome result;
  const int status = WIFEXITED(wait_status_) ? WEXITSTATUS(wait_status_) : 128 + SIGKILL;
  result.exit_status = status;
  if (status > 128 && status < 128 + NSIG) result.signal = status - 128;
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  result.cpu_seconds = seconds(usage_.ru_utime) + seconds(usage_.ru_stime);
  result.stop = stop_;
  const bool killed = result.signal == SIGKILL && result.cpu_seconds >= limits_.cpu_seconds;
  if (stop_ == ProgramStop::none && (result.signal == SIGXCPU || killed)) {
    result.stop = ProgramStop::cpu_time;
  }
  result.output_cut = output_.cut() || error_output_.cut();
  result.output = std::move(output_.kept);
  result.error_output = std::move(error_output_.kept);
  result.seconds = seconds_since(start_);
  result.peak_bytes = peak_bytes_;
  result.process_namespace = status_number(status_.kept, "pid-namespace").value_or(0);
  return result;
}

}  // namespace

Result<ProgramOutcome> run_in_box(const ProgramRequest& request, const BoxPolicy& policy) {
  if (request.source.empty() == request.argv.empty()) {
    return fail(ErrorKind::invalid, "a program is either source or the words of a command");
  }
  if (request.source.size() > kMostSourceBytes) {
    return fail(ErrorKind::invalid, "a program of {} bytes: at most {} are run",
                request.source.size(), kMostSourceBytes);
  }
  BoxRun run(request, policy);
  CB_TRY_STATUS(run.start(request, policy));
  return run.watch();
}

}  // namespace checkbit
