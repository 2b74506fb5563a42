// Bytes that many buffers begin with and that memory holds once.
//
// What: an image is written once and sealed. A view is a buffer of its own, mapped copy on write:
//   pages that it leaves alone are the image's, whatever the number of views; a page that it writes
//   becomes its own.
// Cost: a view takes one mapping and no time for copying. A page that no part has written takes no
//   memory until some view touches it; then the image holds it too, once for all views. An image
//   holds a file descriptor as long as it lives.
// Errors: memory (the system has no such files, or refuses for their number, their size or the
//   address space): then the caller copies.
// Lifetime: views outlive the image. Threads: const after creation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/aligned_buffer.h"
#include "base/result.h"

namespace checkbit {

class SharedImage {
 public:
  struct Part {
    const std::uint8_t* from = nullptr;
    std::size_t offset = 0;  ///< in the image
    std::size_t bytes = 0;
  };
  /// `size_bytes` in all: the parts, zeros elsewhere. Precondition: parts end within size_bytes.
  static Result<std::shared_ptr<const SharedImage>> create(std::size_t size_bytes,
                                                           std::span<const Part> parts);
  ~SharedImage();
  SharedImage(const SharedImage&) = delete;
  SharedImage& operator=(const SharedImage&) = delete;

  Result<AlignedBuffer> view() const;

 private:
  SharedImage(int descriptor, std::size_t size_bytes)
      : descriptor_(descriptor), size_bytes_(size_bytes) {}

  int descriptor_;
  std::size_t size_bytes_;
};

}  // namespace checkbit
