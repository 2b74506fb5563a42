// A verdict on Python that a model wrote: does it get through its tests? (for humaneval and mbpp)
//
// What: runs the source in the sandbox. It is right when the line after the last test is reached: a
//   program that ends itself before that is wrong, whatever its exit status.
// Limits: 8 s of processor time (code_eval of the package evaluate gives 3 s of wall time), 60 s
//   of wall time, 1 GiB.
// Errors: those of run_program: unsupported (no sandbox on this machine), cancelled.
// Threads: any number at once.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "measure/tasks/task.h"

namespace checkbit {

/// One verdict; its answer is "passed" or what went wrong ("AssertionError", "out of memory").
Result<std::vector<Verdict>> judge_program(const std::string& source);

}  // namespace checkbit
