// Running a program that nobody has read: it sees no file of ours, no network and no other process,
// and is gone when the call returns.
//
// What: `run_program` runs Python source (or a program under /usr) in a box made by bubblewrap:
//   namespaces of its own, read-only /usr, a small /tmp, an unprivileged user, a filter of system
//   calls, limits on memory, time, processes and files. What it writes is read as it comes and cut;
//   time and memory are watched from outside. Before the first run of a process a self check tries
//   to break out; when anything succeeds, or a box cannot be made, nothing is run.
// Units: bytes and seconds as the names say. A signal that ended the program is told as shells do
//   (status 128 + signal), so exit status 137 and a kill are the same to us.
// Same results: PYTHONHASHSEED is 0 in the box, and the clock and /dev/urandom are all that
// differs. Errors: unsupported (this machine cannot contain programs; the message says which
// package or
//   kernel setting is missing), invalid (source over 1 MiB, no source), io (out of descriptors).
//   What the program does wrong is an outcome, not an error; cancelling is cancelled_error().
// Threads: any number at once; each call blocks until its program and all it started are gone. A
//   run costs 7 ms beside the program's own time.
// Reference: bwrap(1), seccomp(2), namespaces(7); docs/measure.md, "Contained execution".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace checkbit {

struct ProgramLimits {
  double wall_seconds = 10;
  double cpu_seconds = 5;                     ///< of each process, rounded up to whole seconds
  std::uint64_t memory_bytes = 1ULL << 30;    ///< address space of each process; resident of all
  std::uint64_t processes = 64;               ///< and threads, at a time
  std::uint64_t open_files = 64;              ///< of each process
  std::uint64_t file_bytes = 1ULL << 20;      ///< of each file written
  std::uint64_t scratch_bytes = 16ULL << 20;  ///< /tmp as a whole
  std::uint64_t scratch_files = 4096;         ///< in /tmp
  std::uint64_t kept_output_bytes = 64ULL << 10;  ///< of each stream; more is read and dropped
  std::uint64_t most_output_bytes = 16ULL << 20;  ///< of both streams; then the program is stopped
};

struct ProgramRequest {
  std::string source;             ///< Python 3, standard library only
  std::vector<std::string> argv;  ///< instead of source: a program that the box has, by full path
  std::string input;              ///< standard input
  ProgramLimits limits;
};

/// Why a program was stopped; `none`: it ended by itself.
enum class ProgramStop { none, wall_time, cpu_time, memory, scratch_files, output };
const char* to_string(ProgramStop stop);

struct ProgramOutcome {
  int exit_status = 0;  ///< of the program; meaningless after a stop or a signal
  int signal = 0;       ///< that ended it; 0: none
  ProgramStop stop = ProgramStop::none;
  std::string output;
  std::string error_output;
  bool output_cut = false;              ///< either stream
  double seconds = 0;                   ///< wall, with making the box
  double cpu_seconds = 0;               ///< of all processes together
  std::uint64_t peak_bytes = 0;         ///< the most that was seen resident at a time
  std::uint64_t process_namespace = 0;  ///< for tests that look for what is left

  bool succeeded() const { return stop == ProgramStop::none && signal == 0 && exit_status == 0; }
};

Result<ProgramOutcome> run_program(const ProgramRequest& request);

/// Can this machine contain programs? The self check, made once per process; run_program asks it.
Status check_containment();

}  // namespace checkbit
