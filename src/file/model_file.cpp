#include "file/model_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "file/gguf_layout.h"
#include "file/metadata_keys.h"
#include "file/part_paths.h"

namespace checkbit {
namespace {

using gguf_layout::quoted;

const char* describe(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

/// A path of the form STEM-00002-of-00005.gguf.
struct SplitName {
  std::string stem;
  std::uint64_t number = 0;  ///< from 1
  std::uint64_t count = 0;

  std::string part(std::uint64_t n) const {
    return fmt::format("{}-{:05}-of-{:05}.gguf", stem, n, count);
  }
};

std::optional<SplitName> parse_split_name(const std::string& path) {
  constexpr std::string_view kPattern = "-#####-of-#####.gguf";
  if (path.size() <= kPattern.size()) return std::nullopt;
  const std::size_t start = path.size() - kPattern.size();
  for (std::size_t i = 0; i < kPattern.size(); ++i) {
    const char c = path[start + i];
    if (kPattern[i] == '#' ? (c < '0' || c > '9') : c != kPattern[i]) return std::nullopt;
  }
  SplitName name{path.substr(0, start), std::stoul(path.substr(start + 1, 5)),
                 std::stoul(path.substr(start + 10, 5))};
  if (name.number < 1 || name.number > name.count) return std::nullopt;
  return name;
}

/// Does the metadata of this part agree with its name? `name` is null for a single file.
Status check_split(const std::string& path, const Metadata& metadata, const SplitName* name,
                   std::uint64_t number) {
  const auto count = metadata.get_uint(kKeySplitCount).value_or(0);
  if (name == nullptr) {
    if (count <= 1) return {};
    return fail(ErrorKind::invalid,
                "{}: is one of {} parts (key \"{}\"), but its name does not end in -00001-of-{:05}."
                "gguf, so the others cannot be found; give the parts their names back",
                path, count, kKeySplitCount, count);
  }
  const auto stored = metadata.get_uint(kKeySplitNumber);
  if (count != name->count || !stored || *stored + 1 != number) {
    return fail(ErrorKind::corrupt,
                "{}: its name says part {} of {}, its keys \"{}\" and \"{}\" say otherwise", path,
                number, name->count, kKeySplitNumber, kKeySplitCount);
  }
  return {};
}

}  // namespace

bool is_named_like_a_part(const std::string& path) { return parse_split_name(path).has_value(); }

std::vector<std::string> part_paths(const std::string& path) {
  const auto name = parse_split_name(path);
  if (!name) return {path};
  std::vector<std::string> paths;
  for (std::uint64_t number = 1; number <= name->count; ++number)
    paths.push_back(name->part(number));
  return paths;
}

Result<MappedFile> MappedFile::open(const std::string& path) {
  // O_NONBLOCK: a pipe without a writer would otherwise block here.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) {
    const int code = errno;
    const auto kind = code == ENOENT || code == ENOTDIR ? ErrorKind::not_found : ErrorKind::io;
    return fail(kind, "{}: cannot open: {}", path, std::strerror(code));
  }
  struct Closer {
    int descriptor;
    ~Closer() {
      if (descriptor >= 0) ::close(descriptor);
    }
  } closer{descriptor};
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) {
    return fail(ErrorKind::io, "{}: cannot stat: {}", path, std::strerror(errno));
  }
  if (!S_ISREG(status.st_mode)) {
    return fail(ErrorKind::io, "{}: is {}, not a file", path, describe(status.st_mode));
  }
  MappedFile file;
  if (status.st_size == 0) return file;
  const auto size = static_cast<std::size_t>(status.st_size);
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  if (address == MAP_FAILED) {
    return fail(errno == ENOMEM ? ErrorKind::memory : ErrorKind::io, "{}: cannot map: {}", path,
                std::strerror(errno));
  }
  file.data_ = static_cast<const std::uint8_t*>(address);
  file.size_ = size;
  file.descriptor_ = std::exchange(closer.descriptor, -1);
  return file;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      descriptor_(std::exchange(other.descriptor_, -1)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::uint8_t*>(data_), size_);
  close_descriptor();
}

void MappedFile::close_descriptor() {
  if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
}

Result<AlignedBuffer> MappedFile::private_view() const {
  if (descriptor_ < 0) return fail(ErrorKind::not_found, "the file's descriptor has been closed");
  return AlignedBuffer::map_private(descriptor_, size_, "private view of the model file");
}

bool MappedFile::copy(std::span<const std::uint8_t> bytes, std::uint8_t* out) const {
  if (bytes.empty()) return true;
  CB_CHECK(bytes.data() >= data_ && bytes.data() + bytes.size() <= data_ + size_);
  const auto read = ::pread(descriptor_, out, bytes.size(), bytes.data() - data_);
  return read == static_cast<ssize_t>(bytes.size());
}

void MappedFile::drop_pages(std::span<const std::uint8_t> bytes) const {
  if (bytes.empty()) return;
  CB_CHECK(bytes.data() >= data_ && bytes.data() + bytes.size() <= data_ + size_);
  // Rounded outwards, to what one fault may map: the kernel maps the whole folio of the page cache
  // around a page, also what was given back before. A neighbour's bytes are read again when
  // touched.
  constexpr std::size_t kLargestFolio = 2u << 20;
  const auto offset = static_cast<std::size_t>(bytes.data() - data_);
  const std::size_t start = offset / kLargestFolio * kLargestFolio;
  const std::size_t end =
      std::min(size_, (offset + bytes.size() + kLargestFolio - 1) / kLargestFolio * kLargestFolio);
  // Advice: a failure costs memory, not correctness.
  (void)::madvise(const_cast<std::uint8_t*>(data_) + start, end - start, MADV_DONTNEED);
}

Result<ModelFile> ModelFile::open(const std::string& path) {
  constexpr std::uint64_t kMostDescriptors = 64;  // a process may have 1024, and needs others
  const auto name = parse_split_name(path);
  const std::uint64_t part_count = name ? name->count : 1;
  ModelFile model;
  model.path_ = path;
  std::optional<std::uint64_t> expected_tensors;
  for (std::uint64_t number = 1; number <= part_count; ++number) {
    const std::string part_path = name ? name->part(number) : path;
    CB_TRY(auto file, MappedFile::open(part_path));
    CB_TRY(auto header, parse_gguf(file.bytes(), part_path));
    CB_TRY_STATUS(check_split(part_path, header.metadata, name ? &*name : nullptr, number));
    const auto data = file.bytes();
    for (GgufTensor& tensor : header.tensors) {
      const auto bytes = data.subspan(header.data_offset + tensor.offset, tensor.size_bytes);
      model.tensors_.push_back({std::move(tensor), bytes, number - 1});
    }
    if (number == 1) {
      expected_tensors = header.metadata.get_uint(kKeySplitTensors);
      model.metadata_ = std::move(header.metadata);
    }
    file.drop_pages(data.first(
        std::min<std::size_t>(header.data_offset, data.size())));  // parsed: kept as values
    if (part_count > kMostDescriptors) file.close_descriptor();
    model.parts_.push_back(std::move(file));
  }
  for (std::size_t i = 0; i < model.tensors_.size(); ++i) {
    if (!model.index_.emplace(model.tensors_[i].info.name, i).second) {
      return fail(ErrorKind::corrupt, "{}: tensor {} is in two parts", path,
                  quoted(model.tensors_[i].info.name));
    }
  }
  if (name && expected_tensors != model.tensors_.size()) {
    return fail(ErrorKind::corrupt, "{}: the parts have {} tensors, key \"{}\" says otherwise",
                path, model.tensors_.size(), kKeySplitTensors);
  }
  return model;
}

const ModelTensor* ModelFile::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

std::uint64_t ModelFile::size_bytes() const {
  std::uint64_t total = 0;
  for (const MappedFile& part : parts_) total += part.bytes().size();
  return total;
}

void ModelFile::drop_pages(const ModelTensor& tensor) const {
  parts_[tensor.part].drop_pages(tensor.bytes);
}

}  // namespace checkbit
