// A model on its way into the cache: NAME.gguf.part, taken up again by the next pull.
//
// What: the bytes so far, and beside them NAME.gguf.part.json with what is needed to go on: where
//   they come from and how to ask the server whether that has changed. `finish` verifies and
//   renames. Private to file/.
// Errors: io; invalid when another process works on the same file.
// Threads: one at a time; a file lock keeps other processes out.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace checkbit {

/// What a partial file is made of.
struct PartialState {
  std::string source;     ///< hash of where the bytes come from; other bytes are of no use
  std::string validator;  ///< ETag or Last-Modified; empty: none
  int packages = 0;       ///< packages joined
  std::uint64_t package_bytes = 0;  ///< bytes of those packages
};

class PartialFile {
 public:
  /// Opens or creates FINAL_PATH.part. Bytes of another source are thrown away.
  static Result<PartialFile> open(const std::string& final_path, const std::string& source);
  PartialFile(PartialFile&& other) noexcept;
  PartialFile& operator=(PartialFile&&) = delete;
  ~PartialFile();

  std::uint64_t size_bytes() const { return size_bytes_; }
  const PartialState& state() const { return state_; }
  const std::string& final_path() const { return final_path_; }

  /// Written to disk before any byte that depends on it.
  Status set_validator(const std::string& validator);
  Status set_packages(int packages);
  Status append(std::span<const std::uint8_t> bytes);
  Status truncate(std::uint64_t size_bytes);

  /// Bytes that may still be written here, leaving some of the disk to others.
  std::uint64_t free_bytes() const;

  /// Checks the SHA-256 (unless `expected_sha256` is empty) and that the file parses as GGUF, then
  /// gives it its final name; returns the SHA-256. A file that fails is removed: corrupt.
  /// `origin` is for messages.
  Result<std::string> finish(std::string_view expected_sha256, std::string_view origin);

 private:
  PartialFile() = default;
  Status save_state() const;
  Status load_state(const std::string& source);
  void remove();

  std::string final_path_;
  std::string part_path_;
  std::string state_path_;
  int descriptor_ = -1;
  std::uint64_t size_bytes_ = 0;
  PartialState state_;
};

}  // namespace checkbit
