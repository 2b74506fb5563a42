// Memory from the operating system, aligned to pages: zeroed, on large pages where it gives them,
// or a view of a file.
//
// What: for weights, caches and activations. Failure to allocate is a Result, not an exception.
// Threads: a value; move-only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"

namespace checkbit {

class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  enum class Pages { large, small };
  /// `what` names the purpose in the error ("KV cache"). Size 0 gives an empty buffer. Small pages
  /// suit memory that fills slowly and in many places: untouched pages cost nothing.
  static Result<AlignedBuffer> allocate(std::size_t size_bytes, const char* what,
                                        Pages pages = Pages::large);
  /// The first bytes of a file, copy on write: what is written here stays here. Takes no memory
  /// until it is touched. The file may be closed; it must not become shorter.
  static Result<AlignedBuffer> map_private(int descriptor, std::size_t size_bytes,
                                           const char* what);
  AlignedBuffer(AlignedBuffer&& other) noexcept;
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept;
  ~AlignedBuffer();

  std::uint8_t* data() const { return data_; }
  std::size_t size() const { return size_; }
  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(data_);
  }

 private:
  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t mapped_ = 0;
};

}  // namespace checkbit
