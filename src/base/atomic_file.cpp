#include "base/atomic_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <system_error>

namespace checkbit {
namespace {

namespace fs = std::filesystem;

Error path_failure(std::string_view path, std::string_view action, int code) {
  return fail(ErrorKind::io, "{}: cannot {}: {}", path, action, std::strerror(code));
}

std::string folder_of(const std::string& path) {
  const auto folder = fs::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

/// ".NAME.partial-": what temporaries of this target start with. Long names are cut to leave room
/// under the usual limit of 255 bytes.
std::string temporary_prefix(const std::string& path) {
  return "." + fs::path(path).filename().string().substr(0, 200) + ".partial-";
}

/// Removes temporaries whose process no longer exists. Best effort: they only cost space.
void remove_stale(const std::string& folder, const std::string& prefix) {
  std::error_code ignored;
  for (fs::directory_iterator entry(folder, ignored), end; !ignored && entry != end;
       entry.increment(ignored)) {
    const std::string name = entry->path().filename().string();
    if (!name.starts_with(prefix)) continue;
    pid_t process = 0;
    const auto parsed =
        std::from_chars(name.data() + prefix.size(), name.data() + name.size(), process);
    if (parsed.ec != std::errc() || process <= 0) continue;
    if (::kill(process, 0) != 0 && errno == ESRCH) ::unlink(entry->path().c_str());
  }
}

/// What `path` leads to when it is a symbolic link, else `path`.
Result<std::string> follow_links(const std::string& path) {
  std::error_code error;
  if (!fs::is_symlink(path, error)) return path;
  const fs::path target = fs::weakly_canonical(path, error);
  if (error) return path_failure(path, "follow the symbolic link", error.value());
  return target.string();
}

}  // namespace

Result<AtomicFile> AtomicFile::create(const std::string& path) {
  AtomicFile file;
  CB_TRY(file.path_, follow_links(path));
  struct stat old {};
  const bool replaces = ::stat(file.path_.c_str(), &old) == 0;
  if (replaces && !S_ISREG(old.st_mode)) {
    return fail(ErrorKind::io, "{}: cannot write: it exists and is not a regular file", path);
  }
  if (fs::path(file.path_).filename().empty()) {
    return fail(ErrorKind::io, "{}: cannot write: not the name of a file", path);
  }
  const std::string folder = folder_of(file.path_);
  const std::string prefix = temporary_prefix(file.path_);
  remove_stale(folder, prefix);
  for (int attempt = 0;; ++attempt) {
    const std::string suffix = attempt == 0 ? "" : fmt::format("-{}", attempt);
    const std::string name = fmt::format("{}/{}{}{}", folder, prefix, ::getpid(), suffix);
    file.descriptor_ = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file.descriptor_ >= 0) {
      file.temporary_path_ = name;
      break;
    }
    if (errno != EEXIST || attempt == 1000) return path_failure(path, "write", errno);
  }
  if (replaces && ::fchmod(file.descriptor_, old.st_mode & 07777) != 0) {
    return file.failure("set permissions", errno);
  }
  return file;
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept { *this = std::move(other); }

AtomicFile& AtomicFile::operator=(AtomicFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(temporary_path_, other.temporary_path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(size_bytes_, other.size_bytes_);
  return *this;
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_path_.empty()) ::unlink(temporary_path_.c_str());
}

Error AtomicFile::failure(std::string_view action, int code) const {
  return path_failure(path_, action, code);
}

Status AtomicFile::reserve(std::uint64_t total_bytes) {
  if (total_bytes == 0) return {};
  if (!std::in_range<off_t>(total_bytes)) return failure("reserve space", EFBIG);
  int outcome = 0;
  do {
    outcome = ::fallocate(descriptor_, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(total_bytes));
  } while (outcome != 0 && errno == EINTR);
  if (outcome == 0 || errno == EOPNOTSUPP || errno == ENOSYS) return {};
  return failure(fmt::format("reserve {} bytes", total_bytes), errno);
}

Status AtomicFile::write(std::span<const std::uint8_t> bytes) {
  CB_CHECK(descriptor_ >= 0);
  constexpr std::size_t kLargestWrite = std::size_t{1} << 30;
  while (!bytes.empty()) {
    const ssize_t written =
        ::write(descriptor_, bytes.data(), std::min(bytes.size(), kLargestWrite));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return failure("write", errno);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    size_bytes_ += static_cast<std::uint64_t>(written);
  }
  return {};
}

Status AtomicFile::write(std::string_view text) {
  return write({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

Status AtomicFile::extend(std::uint64_t bytes) {
  CB_CHECK(descriptor_ >= 0);
  const std::uint64_t end = size_bytes_ + bytes;
  if (!std::in_range<off_t>(end)) return failure("write", EFBIG);
  int outcome = 0;
  do {
    outcome = ::ftruncate(descriptor_, static_cast<off_t>(end));
  } while (outcome != 0 && errno == EINTR);
  if (outcome != 0 || ::lseek(descriptor_, 0, SEEK_END) < 0) return failure("write", errno);
  size_bytes_ = end;
  return {};
}

Status AtomicFile::overwrite(std::uint64_t offset, std::span<const std::uint8_t> bytes) {
  CB_CHECK(descriptor_ >= 0 && offset <= size_bytes_ && bytes.size() <= size_bytes_ - offset);
  while (!bytes.empty()) {
    const ssize_t written =
        ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return failure("write", errno);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    offset += static_cast<std::uint64_t>(written);
  }
  return {};
}

Status AtomicFile::commit() {
  CB_CHECK(descriptor_ >= 0);
  if (::fsync(descriptor_) != 0) return failure("flush to disk", errno);
  if (::close(std::exchange(descriptor_, -1)) != 0) return failure("close", errno);
  if (::rename(temporary_path_.c_str(), path_.c_str()) != 0) return failure("rename", errno);
  temporary_path_.clear();
  // The rename itself must reach the disk too. Some file systems cannot flush a folder; the file is
  // whole either way.
  const int folder = ::open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    (void)::fsync(folder);
    ::close(folder);
  }
  return {};
}

Status write_file_atomically(const std::string& path, std::string_view text) {
  CB_TRY(auto file, AtomicFile::create(path));
  CB_TRY_STATUS(file.write(text));
  return file.commit();
}

}  // namespace checkbit
