#include "file/partial_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/atomic_file.h"
#include "file/model_file.h"
#include "file/sha256.h"

namespace checkbit {
namespace {

constexpr std::uint64_t kSpareDiskBytes = std::uint64_t{64} << 20;

Error io_failure(std::string_view path, std::string_view action) {
  return fail(ErrorKind::io, "{}: cannot {}: {}", path, action, std::strerror(errno));
}

/// Opens and locks. The file may be finished and renamed by another process between the two; then
/// its lock is that of the finished file, which must not be touched.
Result<int> open_locked(const std::string& path) {
  for (;;) {
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor < 0) return io_failure(path, "open");
    if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
      ::close(descriptor);
      return fail(ErrorKind::invalid, "{}: another process is pulling this model", path);
    }
    struct stat opened {};
    struct stat named {};
    const bool same = ::fstat(descriptor, &opened) == 0 && ::stat(path.c_str(), &named) == 0 &&
                      opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
    if (same) return descriptor;
    ::close(descriptor);
  }
}

}  // namespace

Result<PartialFile> PartialFile::open(const std::string& final_path, const std::string& source) {
  PartialFile file;
  file.final_path_ = final_path;
  file.part_path_ = final_path + ".part";
  file.state_path_ = file.part_path_ + ".json";
  CB_TRY(file.descriptor_, open_locked(file.part_path_));
  struct stat status {};
  if (::fstat(file.descriptor_, &status) != 0) return io_failure(file.part_path_, "stat");
  file.size_bytes_ = static_cast<std::uint64_t>(status.st_size);
  CB_TRY_STATUS(file.load_state(source));
  return file;
}

PartialFile::PartialFile(PartialFile&& other) noexcept
    : final_path_(std::move(other.final_path_)),
      part_path_(std::move(other.part_path_)),
      state_path_(std::move(other.state_path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_bytes_(other.size_bytes_),
      state_(std::move(other.state_)) {}

PartialFile::~PartialFile() {
  if (descriptor_ < 0) return;
  if (size_bytes_ == 0) remove();  // nothing worth keeping
  ::close(descriptor_);
}

Status PartialFile::load_state(const std::string& source) {
  std::ifstream in(state_path_);
  const auto json = nlohmann::json::parse(in, nullptr, /*allow_exceptions=*/false);
  state_ = {};
  if (json.is_object() && json.value("source", nlohmann::json()) == source) {
    const auto validator = json.value("validator", nlohmann::json());
    const auto packages = json.value("packages", nlohmann::json());
    const auto package_bytes = json.value("package_bytes", nlohmann::json());
    if (validator.is_string() && packages.is_number_unsigned() && packages < 1000 &&
        package_bytes.is_number_unsigned() && package_bytes <= size_bytes_) {
      state_ = {source, validator.get<std::string>(), packages.get<int>(),
                package_bytes.get<std::uint64_t>()};
    }
  }
  if (!state_.source.empty()) return {};
  CB_TRY_STATUS(truncate(0));
  state_.source = source;
  return save_state();
}

Status PartialFile::save_state() const {
  const nlohmann::json json = {{"source", state_.source},
                               {"validator", state_.validator},
                               {"packages", state_.packages},
                               {"package_bytes", state_.package_bytes}};
  return write_file_atomically(
      state_path_, json.dump(2, ' ', true, nlohmann::json::error_handler_t::replace) + "\n");
}

Status PartialFile::set_validator(const std::string& validator) {
  if (state_.validator == validator) return {};
  state_.validator = validator;
  return save_state();
}

Status PartialFile::set_packages(int packages) {
  if (::fdatasync(descriptor_) != 0) return io_failure(part_path_, "flush to disk");
  state_.packages = packages;
  state_.package_bytes = size_bytes_;
  return save_state();
}

Status PartialFile::append(std::span<const std::uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t written =
        ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(size_bytes_));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return io_failure(part_path_, "write");
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    size_bytes_ += static_cast<std::uint64_t>(written);
  }
  return {};
}

Status PartialFile::truncate(std::uint64_t size_bytes) {
  if (::ftruncate(descriptor_, static_cast<off_t>(size_bytes)) != 0) {
    return io_failure(part_path_, "truncate");
  }
  size_bytes_ = size_bytes;
  return {};
}

std::uint64_t PartialFile::free_bytes() const {
  struct statvfs disk {};
  if (::fstatvfs(descriptor_, &disk) != 0) return ~std::uint64_t{0};
  const std::uint64_t available = std::uint64_t{disk.f_bavail} * disk.f_frsize;
  return available - std::min(available, kSpareDiskBytes);
}

void PartialFile::remove() {
  ::unlink(part_path_.c_str());
  ::unlink(state_path_.c_str());
}

Result<std::string> PartialFile::finish(std::string_view expected_sha256, std::string_view origin) {
  if (::fsync(descriptor_) != 0) return io_failure(part_path_, "flush to disk");
  CB_TRY(const auto sha256, sha256_of_file(part_path_));
  if (!expected_sha256.empty() && sha256 != expected_sha256) {
    remove();
    return fail(ErrorKind::corrupt, "{}: SHA-256 is {}, expected {}; pull it again", origin, sha256,
                expected_sha256);
  }
  {
    CB_TRY(const auto map, MappedFile::open(part_path_));
    const auto header = parse_gguf(map.bytes(), origin);
    if (!header.ok()) {
      remove();
      return header.error();
    }
  }
  if (::rename(part_path_.c_str(), final_path_.c_str()) != 0) {
    return io_failure(final_path_, "rename");
  }
  ::unlink(state_path_.c_str());
  return sha256;
}

}  // namespace checkbit
