#include "base/shared_image.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

namespace checkbit {
namespace {

Error refused(std::string_view call, int error) {
  return fail(ErrorKind::memory, "shared image: {}: {}", call, std::strerror(error));
}

/// A file larger than this limit would not be refused but end the program (SIGXFSZ).
bool file_size_is_allowed(std::size_t size_bytes) {
  rlimit limit{};
  return getrlimit(RLIMIT_FSIZE, &limit) == 0 &&
         (limit.rlim_cur == RLIM_INFINITY || size_bytes <= limit.rlim_cur);
}

Status write_part(int descriptor, SharedImage::Part part) {
  while (part.bytes > 0) {
    const ssize_t written =
        ::pwrite(descriptor, part.from, part.bytes, static_cast<off_t>(part.offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return refused("pwrite", written < 0 ? errno : ENOSPC);
    part.from += written;
    part.offset += static_cast<std::size_t>(written);
    part.bytes -= static_cast<std::size_t>(written);
  }
  return {};
}

}  // namespace

Result<std::shared_ptr<const SharedImage>> SharedImage::create(std::size_t size_bytes,
                                                               std::span<const Part> parts) {
  if (!file_size_is_allowed(size_bytes)) return refused("RLIMIT_FSIZE", EFBIG);
  const int descriptor = ::memfd_create("checkbit-image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (descriptor < 0) return refused("memfd_create", errno);
  const std::shared_ptr<const SharedImage> image(new SharedImage(descriptor, size_bytes));
  if (::ftruncate(descriptor, static_cast<off_t>(size_bytes)) != 0)
    return refused("ftruncate", errno);
  for (const Part& part : parts) CB_TRY_STATUS(write_part(descriptor, part));
  constexpr int kSeals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  if (::fcntl(descriptor, F_ADD_SEALS, kSeals) != 0) return refused("F_ADD_SEALS", errno);
  return image;
}

SharedImage::~SharedImage() { ::close(descriptor_); }

Result<AlignedBuffer> SharedImage::view() const {
  return AlignedBuffer::map_private(descriptor_, size_bytes_, "shared image");
}

}  // namespace checkbit
