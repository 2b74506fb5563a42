#include "base/aligned_buffer.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace checkbit {
namespace {
constexpr std::size_t kPage = 4096;
constexpr std::size_t kHugePage = 2u << 20;
}  // namespace

Result<AlignedBuffer> AlignedBuffer::allocate(std::size_t size_bytes, const char* what,
                                              Pages pages) {
  AlignedBuffer buffer;
  if (size_bytes == 0) return buffer;
  const bool large = pages == Pages::large && size_bytes >= kHugePage;
  if (size_bytes > SIZE_MAX - 2 * kHugePage) {
    return fail(ErrorKind::memory, "{}: {} bytes do not fit into the address space", what,
                size_bytes);
  }
  // Over-allocate so that the part used can start on a large page.
  const std::size_t mapped = (size_bytes + kPage - 1) / kPage * kPage + (large ? kHugePage : 0);
  void* address = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED) {
    return fail(ErrorKind::memory,
                "{}: cannot allocate {:.1f} MiB; use a smaller model, --context or --bpw", what,
                static_cast<double>(size_bytes) / (1u << 20));
  }
  auto start = reinterpret_cast<std::uintptr_t>(address);
  if (large) {
    const std::uintptr_t aligned = (start + kHugePage - 1) / kHugePage * kHugePage;
    if (aligned > start) munmap(address, aligned - start);
    const std::size_t tail = kHugePage - (aligned - start);
    if (tail > 0) munmap(reinterpret_cast<void*>(start + mapped - tail), tail);
    start = aligned;
    buffer.mapped_ = mapped - kHugePage;
    madvise(reinterpret_cast<void*>(start), buffer.mapped_,
            MADV_HUGEPAGE);  // a wish; refusal is fine
  } else {
    buffer.mapped_ = mapped;
  }
  buffer.data_ = reinterpret_cast<std::uint8_t*>(start);
  buffer.size_ = size_bytes;
  return buffer;
}

Result<AlignedBuffer> AlignedBuffer::map_private(int descriptor, std::size_t size_bytes,
                                                 const char* what) {
  AlignedBuffer buffer;
  if (size_bytes == 0) return buffer;
  void* address =
      mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, descriptor, 0);
  if (address == MAP_FAILED) {
    return fail(ErrorKind::memory, "{}: cannot map {:.1f} MiB: {}", what,
                static_cast<double>(size_bytes) / (1u << 20), std::strerror(errno));
  }
  buffer.data_ = static_cast<std::uint8_t*>(address);
  buffer.size_ = size_bytes;
  buffer.mapped_ = size_bytes;
  return buffer;
}

AlignedBuffer::AlignedBuffer(AlignedBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      mapped_(std::exchange(other.mapped_, 0)) {}

AlignedBuffer& AlignedBuffer::operator=(AlignedBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(mapped_, other.mapped_);
  return *this;
}

AlignedBuffer::~AlignedBuffer() {
  if (data_ != nullptr) munmap(data_, mapped_);
}

}  // namespace checkbit
