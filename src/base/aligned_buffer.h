// Zeroed memory from the operating system, aligned to pages, on large pages where it gives them.
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
  static Result<AlignedBuffer> allocate(std::size_t size_bytes, const char* what, Pages pages = Pages::large);
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
