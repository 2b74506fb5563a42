// Starting a process that gets exactly the descriptors it should have, and nothing else of ours.
//
// What: `spawn` starts a program in a session of its own, in folder "/", with an empty signal mask,
//   default signals and only the environment given; `descriptors[i]` is number i there and every
//   other descriptor is closed, also those that other code opened without O_CLOEXEC.
// Errors: io (out of processes or descriptors), not_found (no such program).
// Threads: any number at once. The caller reaps the process.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sandbox/descriptor.h"

namespace checkbit {

struct SpawnRequest {
  std::vector<std::string> command;  ///< [0] is a path
  std::vector<std::string> environment;
  std::vector<int> descriptors;  ///< all open
};

Result<pid_t> spawn(const SpawnRequest& request);

struct Pipe {
  Descriptor read_end;  ///< does not block
  Descriptor write_end;
};
Result<Pipe> make_pipe();

/// A file in memory that holds `bytes`, read from the start, which whoever has it cannot change.
Result<Descriptor> sealed_file(std::string_view bytes);

}  // namespace checkbit
