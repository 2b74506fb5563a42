#include "quantize/tensor_journal.h"

#include <xxhash.h>

#include <filesystem>
#include <fstream>
#include <utility>

#include "base/bytes.h"
#include "file/sha256.h"

namespace checkbit {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic = "checkbit tensors 1\n";
constexpr std::size_t kMostNameBytes = 4096;

struct RecordHeader {
  std::uint64_t name_bytes = 0, size_bytes = 0;
  std::uint64_t checksum = 0;  ///< XXH3 of name and bytes together
};

std::uint64_t checksum_of(const std::string& name, std::span<const std::uint8_t> bytes) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), XXH3_64bits(name.data(), name.size()));
}

std::string hash_of(const std::string& job) {
  Sha256 hash;
  hash.update({reinterpret_cast<const std::uint8_t*>(job.data()), job.size()});
  return hash.finish();
}

char* chars(std::uint8_t* bytes) { return reinterpret_cast<char*>(bytes); }
const char* chars(const std::uint8_t* bytes) { return reinterpret_cast<const char*>(bytes); }

}  // namespace

std::string TensorJournal::path_for(const std::string& output) {
  const fs::path path(output);
  return (path.parent_path() / ("." + path.filename().string() + ".kept-tensors")).string();
}

Result<TensorJournal> TensorJournal::open(const std::string& output, const std::string& job) {
  TensorJournal journal;
  journal.path_ = path_for(output);
  CB_TRY_STATUS(journal.read_records(hash_of(job)));
  return journal;
}

TensorJournal::TensorJournal(TensorJournal&& other) noexcept
    : path_(std::exchange(other.path_, {})),
      records_(std::move(other.records_)),
      replaced_another_(other.replaced_another_) {}

TensorJournal::~TensorJournal() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove(path_, ignored);
}

/// Whole records of the same job; anything else makes way.
Status TensorJournal::read_records(const std::string& job_hash) {
  const std::string start = std::string(kMagic) + job_hash;
  std::error_code ignored;
  const std::uint64_t size = fs::exists(path_, ignored) ? fs::file_size(path_, ignored) : 0;
  std::ifstream file(path_, std::ios::binary);
  std::string found(start.size(), '\0');
  const bool same =
      file.read(found.data(), static_cast<std::streamsize>(found.size())) && found == start;
  if (!same) {
    replaced_another_ = size >= start.size() && found.starts_with(kMagic);
    std::ofstream fresh(path_, std::ios::binary | std::ios::trunc);
    if (fresh.write(start.data(), static_cast<std::streamsize>(start.size())).flush()) return {};
    return fail(ErrorKind::io, "{}: cannot be written", path_);
  }
  std::uint64_t whole = start.size();
  std::vector<std::uint8_t> bytes;
  while (true) {
    RecordHeader header;
    if (!file.read(reinterpret_cast<char*>(&header), sizeof(header))) break;
    const std::uint64_t left = size - std::min(size, whole + sizeof(header));
    if (header.name_bytes > kMostNameBytes || header.name_bytes > left ||
        header.size_bytes > left - header.name_bytes)
      break;
    std::string name(header.name_bytes, '\0');
    bytes.resize(header.size_bytes);
    file.read(name.data(), static_cast<std::streamsize>(name.size()));
    file.read(chars(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    if (!file || checksum_of(name, bytes) != header.checksum) break;
    const std::uint64_t offset = whole + sizeof(header) + name.size();
    records_[name] = {offset, header.size_bytes};
    whole = offset + header.size_bytes;
  }
  file.close();
  if (whole < size) fs::resize_file(path_, whole, ignored);
  return {};
}

bool TensorJournal::holds(const std::string& name, std::uint64_t size_bytes) const {
  const auto record = records_.find(name);
  return record != records_.end() && record->second.size_bytes == size_bytes;
}

Status TensorJournal::read(const std::string& name, std::span<std::uint8_t> out) const {
  CB_CHECK(holds(name, out.size()));
  std::ifstream file(path_, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(records_.at(name).offset));
  if (file.read(chars(out.data()), static_cast<std::streamsize>(out.size()))) return {};
  return fail(ErrorKind::io, "{}: tensor {} cannot be read back; start once more", path_, name);
}

Status TensorJournal::keep(const std::string& name, std::span<const std::uint8_t> bytes) {
  const RecordHeader header = {name.size(), bytes.size(), checksum_of(name, bytes)};
  std::ofstream file(path_, std::ios::binary | std::ios::app);
  const auto offset = static_cast<std::uint64_t>(file.seekp(0, std::ios::end).tellp());
  file.write(reinterpret_cast<const char*>(&header), sizeof(header));
  file.write(name.data(), static_cast<std::streamsize>(name.size()));
  file.write(chars(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!file.flush())
    return fail(ErrorKind::io, "{}: tensor {} cannot be kept for a later start: is the disk full?",
                path_, name);
  records_[name] = {offset + sizeof(header) + name.size(), bytes.size()};
  return {};
}

}  // namespace checkbit
