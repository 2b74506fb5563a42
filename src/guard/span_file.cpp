#include "guard/span_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace checkbit {

Result<SpanFile> SpanFile::open(const std::string& path, Mode mode) {
  SpanFile file;
  file.path_ = path;
  // O_NONBLOCK: a pipe without a writer would otherwise block here.
  const int access = mode == Mode::write ? O_RDWR : O_RDONLY;
  file.descriptor_ = ::open(path.c_str(), access | O_CLOEXEC | O_NONBLOCK);
  if (file.descriptor_ < 0) {
    const int code = errno;
    const bool absent = code == ENOENT || code == ENOTDIR;
    if (code == EROFS || ((code == EACCES || code == EPERM) && mode == Mode::write)) {
      return fail(
          ErrorKind::io,
          "{}: cannot be written: {}; nothing was changed. Copy the model and its seal to a "
          "place that can be written",
          path, std::strerror(code));
    }
    return fail(absent ? ErrorKind::not_found : ErrorKind::io, "{}: cannot open: {}", path,
                std::strerror(code));
  }
  struct stat status {};
  if (::fstat(file.descriptor_, &status) != 0) return file.failure("stat", errno);
  if (!S_ISREG(status.st_mode)) return fail(ErrorKind::io, "{}: is not a regular file", path);
  return file;
}

SpanFile::SpanFile(SpanFile&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

SpanFile& SpanFile::operator=(SpanFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

SpanFile::~SpanFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Error SpanFile::failure(std::string_view action, int code) const {
  return fail(ErrorKind::io, "{}: cannot {}: {}", path_, action, std::strerror(code));
}

std::uint64_t SpanFile::size_bytes() const {
  struct stat status {};
  return ::fstat(descriptor_, &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

bool SpanFile::read(std::uint64_t offset, std::span<std::uint8_t> out) const {
  while (!out.empty()) {
    if (!std::in_range<off_t>(offset)) return false;
    const ssize_t count = ::pread(descriptor_, out.data(), out.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    out = out.subspan(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
  return true;
}

Status SpanFile::write(std::uint64_t offset, std::span<const std::uint8_t> bytes) const {
  while (!bytes.empty()) {
    if (!std::in_range<off_t>(offset)) return failure("write", EFBIG);
    const ssize_t count =
        ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failure("write", errno);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
  return {};
}

Status SpanFile::flush() const {
  if (::fsync(descriptor_) != 0) return failure("flush to disk", errno);
  return {};
}

Status SpanFile::lock(Lock lock) const {
  const int wanted = lock == Lock::exclusive ? LOCK_EX : LOCK_SH;
  if (::flock(descriptor_, wanted | LOCK_NB) == 0) return {};
  if (errno != EWOULDBLOCK) return failure("lock", errno);
  return fail(ErrorKind::invalid, "{}: another process is {} it; try again when it is done", path_,
              lock == Lock::exclusive ? "verifying or repairing" : "repairing");
}

}  // namespace checkbit
