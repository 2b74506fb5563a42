// The whole program as a function, so that tests run it in-process.
//
// What: finds the command, parses its arguments, runs it, prints what went wrong.
// Result: the exit status: 0 done; 1 the user's input or machine is at fault (one line on err that
//   starts with "checkbit: error:"); 2 wrong usage; 130 stopped by Ctrl-C. Bugs abort.
// Threads: one call at a time (it installs the process's progress sink).
#pragma once

#include <string>
#include <vector>

#include "cli/console.h"

namespace checkbit {

inline constexpr int kExitDone = 0;
inline constexpr int kExitError = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitStopped = 130;

/// `words` without the program's name.
int run_cli(const std::vector<std::string>& words, Console& console);

}  // namespace checkbit
