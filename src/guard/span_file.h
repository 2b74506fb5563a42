// A file read and written at offsets, where what cannot be read is an answer and not an end.
//
// What: pread and pwrite of an open descriptor. Bytes behind the end and bytes that the disk
// refuses
//   (EIO) are "missing": damage to mend, as flipped ones are.
// Errors: not_found, io (a folder, no permission, a read-only file system: the message says so).
// Threads: read from any; write from one.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"

namespace checkbit {

class SpanFile {
 public:
  enum class Mode { read, write };
  static Result<SpanFile> open(const std::string& path, Mode mode);
  SpanFile(SpanFile&& other) noexcept;
  SpanFile& operator=(SpanFile&& other) noexcept;
  ~SpanFile();

  const std::string& path() const { return path_; }
  /// As of now, not as of open.
  std::uint64_t size_bytes() const;

  /// Fills `out` from `offset` on; false when some of it is missing (`out` is then unspecified).
  bool read(std::uint64_t offset, std::span<std::uint8_t> out) const;
  Status write(std::uint64_t offset, std::span<const std::uint8_t> bytes) const;
  /// To the disk.
  Status flush() const;

  enum class Lock { shared, exclusive };
  /// Errors: invalid, when another process holds it the other way.
  Status lock(Lock lock) const;

 private:
  SpanFile() = default;
  Error failure(std::string_view action, int code) const;

  std::string path_;
  int descriptor_ = -1;
};

}  // namespace checkbit
