// Files that appear whole or not at all.
//
// What: bytes go to a hidden temporary in the target's folder (.NAME.partial-PID); `commit` flushes
//   it to disk and renames it over the target. Until then, and whatever happens (full disk, crash,
//   kill -9), a file under the target's name is the old one, untouched. The destructor removes the
//   temporary; one left by a killed process is removed by the next `create` for the same target.
// Details: a target that is a symbolic link keeps being one, what it points to is replaced. The
//   permissions of a replaced file are kept.
// Errors: io (folder missing, no permission, disk full, file size limit; the message names the
//   target). After a failed write only destruction makes sense.
// Threads: one AtomicFile per thread, but for `overwrite`; several may aim at one target, the last
//   commit wins.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace checkbit {

class AtomicFile {
 public:
  static Result<AtomicFile> create(const std::string& path);
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&& other) noexcept;
  ~AtomicFile();

  /// Sets disk space aside, so that a full disk is known before the work and not after it.
  /// File systems that cannot do so are taken at their word.
  Status reserve(std::uint64_t total_bytes);
  Status write(std::span<const std::uint8_t> bytes);
  Status write(std::string_view text);
  /// So many zeros behind what is there, for `overwrite`.
  Status extend(std::uint64_t bytes);
  /// Bytes written before, once more; several threads at once may, different bytes. Precondition:
  /// offset + size <= size_bytes().
  Status overwrite(std::uint64_t offset, std::span<const std::uint8_t> bytes);
  /// Precondition: not committed yet.
  Status commit();

  std::uint64_t size_bytes() const { return size_bytes_; }
  const std::string& path() const { return path_; }
  /// Where the bytes are until commit, for checking them.
  const std::string& temporary_path() const { return temporary_path_; }

 private:
  AtomicFile() = default;
  Error failure(std::string_view action, int code) const;

  std::string path_;            ///< after following symbolic links
  std::string temporary_path_;  ///< empty: nothing to remove
  int descriptor_ = -1;
  std::uint64_t size_bytes_ = 0;
};

/// create, write, commit.
Status write_file_atomically(const std::string& path, std::string_view text);

}  // namespace checkbit
