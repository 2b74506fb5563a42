// Can a program in the box get out? Tried, not assumed.
//
// What: runs a program of our own that tries to read and write a file of ours, to open sockets, to
//   see processes, to start more of them than allowed, to take more memory than allowed, to mount
//   and to make namespaces; and looks from outside whether the file is as it was.
// Errors: unsupported, naming the first escape that succeeded, or why there is no box.
#pragma once

#include "base/result.h"
#include "sandbox/box.h"

namespace checkbit {

/// Once through; takes 50 ms. run_program asks check_containment(), which remembers the answer.
Status try_to_break_out(const BoxPolicy& policy = {});

}  // namespace checkbit
