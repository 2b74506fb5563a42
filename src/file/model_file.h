// A model on disk: one GGUF file or a split set, memory-mapped read-only.
//
// What: opens `model.gguf` or any part `model-00001-of-00003.gguf` (all parts are opened, metadata
//   of the first holds). Tensor bytes are views into the maps.
// Errors: not_found, io (directory, pipe, unreadable), corrupt, unsupported; see gguf.h.
// Threads: const after open; views may be read from any thread. The file must not be truncated by
//   others while mapped; `open` verifies that every tensor lies inside the file.
// Lifetime: views and names live as long as the ModelFile (movable, not copyable).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/result.h"
#include "file/gguf.h"

namespace checkbit {

/// A read-only memory map of a whole regular file.
class MappedFile {
 public:
  static Result<MappedFile> open(const std::string& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();
  std::span<const std::uint8_t> bytes() const { return {data_, size_}; }
  /// Tells the kernel that these bytes are no longer needed (they can be read again from disk).
  void drop_pages(std::span<const std::uint8_t> bytes) const;
  /// Copies these bytes of the map without making their pages resident; false when it cannot.
  bool copy(std::span<const std::uint8_t> bytes, std::uint8_t* out) const;
  /// A map of its own of the whole file, copy on write: what is mended there stays there. Errors:
  /// memory; not_found after close_descriptor.
  Result<AlignedBuffer> private_view() const;
  /// Gives the descriptor back, for sets of very many parts: copy() is then false.
  void close_descriptor();

 private:
  MappedFile() = default;
  const std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
  int descriptor_ = -1;
};

struct ModelTensor {
  GgufTensor info;                      ///< `offset` is relative to its own part
  std::span<const std::uint8_t> bytes;  ///< [rows * row_bytes]
  std::size_t part = 0;
};

class ModelFile {
 public:
  static Result<ModelFile> open(const std::string& path);

  const std::string& path() const { return path_; }
  const Metadata& metadata() const { return metadata_; }
  std::span<const ModelTensor> tensors() const { return tensors_; }
  const ModelTensor* find(std::string_view name) const;
  std::uint64_t size_bytes() const;  ///< of all parts
  std::span<const MappedFile> parts() const { return parts_; }
  /// Releases the resident pages of one tensor.
  void drop_pages(const ModelTensor& tensor) const;

 private:
  std::string path_;
  Metadata metadata_;
  std::vector<ModelTensor> tensors_;
  /// Keys view the names in tensors_, whose elements stay in place when the ModelFile moves.
  std::unordered_map<std::string_view, std::size_t> index_;
  std::vector<MappedFile> parts_;
};

/// True for a name like model-00001-of-00003.gguf: a file of that name opens as one of a set only.
bool is_named_like_a_part(const std::string& path);

}  // namespace checkbit
