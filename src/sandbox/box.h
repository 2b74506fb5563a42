// How the box is built. For run_program, the self check, and tests that weaken it on purpose.
//
// What: the command line of bubblewrap, and the loop that watches one run. From the outside in:
//   a session of its own; as root an unprivileged user (the kernel's process limit does nothing for
//   root); bubblewrap with namespaces for users, processes, network, files, host name and System V
//   objects, no further user namespaces, no capabilities; the filter of system calls; a shell
//   as the first process, whose end ends all others; prlimit; the program.
// Files in the box: /usr and its links read-only, /box/program.py read-only, three devices, /tmp.
// No
//   /proc, /sys, /etc or /home, and no terminal.
// Errors, threads: those of program.h. Without the self check.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "sandbox/program.h"

namespace checkbit {

/// What the box keeps up. Only tests take something down, to see the hostile programs succeed.
struct BoxPolicy {
  bool hides_files = true;
  bool own_namespaces = true;
  bool filters_calls = true;
  bool limits = true;
  bool watches = true;  ///< memory and files, from outside
};

Result<ProgramOutcome> run_in_box(const ProgramRequest& request, const BoxPolicy& policy = {});

/// The user and group that root becomes before it makes a box.
inline constexpr unsigned kBoxUser = 65533;

/// Numbers of the descriptors that bubblewrap is given.
enum BoxDescriptor { kBoxStatus = 3, kBoxFilter = 4, kBoxSource = 5 };

/// Unsupported, naming the package, when a program that makes the box is missing.
Result<std::vector<std::string>> box_command(const ProgramRequest& request,
                                             const BoxPolicy& policy);

}  // namespace checkbit
