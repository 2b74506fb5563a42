#include "sandbox/program.h"

#include <mutex>
#include <optional>

#include "base/progress.h"
#include "sandbox/box.h"
#include "sandbox/self_check.h"

namespace checkbit {

const char* to_string(ProgramStop stop) {
  switch (stop) {
    case ProgramStop::none:
      return "not stopped";
    case ProgramStop::wall_time:
      return "out of time";
    case ProgramStop::cpu_time:
      return "out of processor time";
    case ProgramStop::memory:
      return "out of memory";
    case ProgramStop::scratch_files:
      return "too many files";
    case ProgramStop::output:
      return "too much output";
  }
  CB_CHECK(false);
  return "";
}

Status check_containment() {
  // A check that a cancel cut short says nothing and is not remembered.
  static std::mutex mutex;
  static std::optional<Status> answer;
  const std::lock_guard lock(mutex);
  if (answer.has_value()) return *answer;
  Status now = try_to_break_out();
  if (!cancel_requested()) answer = now;
  return now;
}

Result<ProgramOutcome> run_program(const ProgramRequest& request) {
  CB_TRY_STATUS(check_containment());
  return run_in_box(request);
}

}  // namespace checkbit
