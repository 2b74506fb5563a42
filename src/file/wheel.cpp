#include "file/wheel.h"

#include <fnmatch.h>
#include <zip.h>

#include <memory>
#include <optional>
#include <vector>

namespace checkbit {
namespace {

struct ZipCloser {
  void operator()(zip_t* archive) const { zip_discard(archive); }
  void operator()(zip_file_t* member) const { zip_fclose(member); }
};

struct Member {
  zip_uint64_t index = 0;
  std::uint64_t size_bytes = 0;
};

Result<Member> find_member(zip_t* archive, const std::string& wheel_path,
                           std::string_view pattern) {
  std::optional<Member> found;
  const zip_int64_t count = zip_get_num_entries(archive, 0);
  for (zip_int64_t i = 0; i < count; ++i) {
    zip_stat_t entry;
    const auto index = static_cast<zip_uint64_t>(i);
    constexpr zip_uint64_t kNeeded = ZIP_STAT_NAME | ZIP_STAT_SIZE;
    if (zip_stat_index(archive, index, 0, &entry) != 0 || (entry.valid & kNeeded) != kNeeded) {
      continue;
    }
    if (::fnmatch(std::string(pattern).c_str(), entry.name, 0) != 0) continue;
    if (found) {
      return fail(ErrorKind::corrupt, "{}: more than one member matches {}", wheel_path, pattern);
    }
    found = Member{index, entry.size};
  }
  if (!found) return fail(ErrorKind::corrupt, "{}: no member matches {}", wheel_path, pattern);
  return *found;
}

}  // namespace

Status read_wheel_member(const std::string& wheel_path, std::string_view pattern,
                         std::uint64_t most_bytes, const ByteSink& sink) {
  int code = 0;
  const std::unique_ptr<zip_t, ZipCloser> archive(zip_open(wheel_path.c_str(), ZIP_RDONLY, &code));
  if (archive == nullptr) {
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    const std::string reason = zip_error_strerror(&error);
    zip_error_fini(&error);
    return fail(ErrorKind::corrupt, "{}: not a wheel: {}", wheel_path, reason);
  }
  CB_TRY(const Member member, find_member(archive.get(), wheel_path, pattern));
  if (member.size_bytes > most_bytes) {
    return fail(ErrorKind::corrupt, "{}: the member {} has {} bytes, more than the {} expected",
                wheel_path, pattern, member.size_bytes, most_bytes);
  }
  const std::unique_ptr<zip_file_t, ZipCloser> file(
      zip_fopen_index(archive.get(), member.index, 0));
  if (file == nullptr) {
    return fail(ErrorKind::corrupt, "{}: cannot read {}: {}", wheel_path, pattern,
                zip_strerror(archive.get()));
  }
  std::vector<std::uint8_t> buffer(1 << 20);
  std::uint64_t total = 0;
  for (;;) {
    // At the end of the data this checks the member's CRC.
    const zip_int64_t count = zip_fread(file.get(), buffer.data(), buffer.size());
    if (count == 0) break;
    total += count < 0 ? 0 : static_cast<std::uint64_t>(count);
    if (count < 0 || total > member.size_bytes) {
      return fail(ErrorKind::corrupt, "{}: cannot read {}: {}", wheel_path, pattern,
                  zip_file_strerror(file.get()));
    }
    CB_TRY_STATUS(sink({buffer.data(), static_cast<std::size_t>(count)}));
  }
  if (total == member.size_bytes) return {};
  return fail(ErrorKind::corrupt, "{}: {} has {} bytes, not {}", wheel_path, pattern, total,
              member.size_bytes);
}

}  // namespace checkbit
