// The system calls that a program in the box does not have.
//
// What: a seccomp filter for this machine's processor, as the bytes bubblewrap loads. Everything
//   is allowed but what reaches the kernel's wider doors: sockets, other processes' memory, mounts
//   and namespaces, keys, kernel-held memory that no limit counts (System V and POSIX queues,
//   memfd), clocks, modules. Those answer EPERM; a call for another processor's table kills the
//   program.
// Errors: unsupported (libseccomp cannot write a filter for this processor).
// Threads: any. Made once per process.
// Reference: seccomp(2); the list's start is in "Sandbox" of the project's notes on
// self-correction.
#pragma once

#include <string>

#include "base/result.h"

namespace checkbit {

Result<std::string> syscall_filter();

}  // namespace checkbit
