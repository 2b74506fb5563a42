// Writing a GGUF file piece by piece, so that no tensor needs to be in memory whole.
//
// What: `create` assigns offsets and writes the header; `append` takes the tensors' bytes in table
//   order, each in pieces of any size; `finish` parses what was written as a reader would and gives
//   the file its name (base/atomic_file.h: until then the old file, if any, stands).
// Preconditions: metadata and tensor table are final at `create`; bytes come in order and exactly
//   size_bytes per tensor (CB_CHECK).
// Errors: io, and corrupt when the header itself would be refused by parse_gguf.
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/atomic_file.h"
#include "base/result.h"
#include "file/gguf.h"

namespace checkbit {

class GgufWriter {
 public:
  static Result<GgufWriter> create(const std::string& path, GgufHeader header);

  /// The next bytes of tensor number `tensor` of the header.
  Status append(std::size_t tensor, std::span<const std::uint8_t> bytes);
  /// Puts another text of the same length into metadata (CB_CHECK): a figure measured on what was
  /// written. Precondition: every tensor is complete.
  Status replace_text(std::string_view key, std::string text);
  Status finish();

  const GgufHeader& header() const { return header_; }
  /// Where the bytes are until `finish`, whole once every tensor is complete.
  const std::string& temporary_path() const { return file_.temporary_path(); }
  /// Of the finished file.
  std::uint64_t total_bytes() const;

 private:
  GgufWriter(AtomicFile file, GgufHeader header)
      : file_(std::move(file)), header_(std::move(header)) {}
  Status pad_to(std::uint64_t file_offset);

  AtomicFile file_;
  GgufHeader header_;
  std::size_t next_tensor_ = 0;  ///< every tensor before it is complete
};

}  // namespace checkbit
