// What a tree of processes holds right now, read from outside.
//
// What: `resident_bytes_of_tree` adds up the memory of a process and all below it, resident or
//   swapped, that no file backs: pages that several processes share after a fork count once for
//   each, so the sum is never too small. `files_in` counts the files of a process's file system at
//   a path.
// Errors: none; what has gone meanwhile counts nothing.
// Threads: any. 30 us for each process.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace checkbit {

std::uint64_t resident_bytes_of_tree(pid_t root);

/// Of the file system of `size_bytes` at `path` ("/tmp") as process `pid` sees it; 0 when that
/// cannot be seen or is another one: the machine's own, before the box is ready.
std::uint64_t files_in(pid_t pid, const char* path, std::uint64_t size_bytes);

}  // namespace checkbit
