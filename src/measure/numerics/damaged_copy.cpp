#include "measure/numerics/damaged_copy.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/progress.h"
#include "protect/bit_draw.h"

namespace checkbit {
namespace {

Error io_error(const std::string& path, const char* what) {
  return fail(ErrorKind::io, "{}: cannot {}: {}", path, what, std::strerror(errno));
}

Status copy_bytes(std::span<const std::uint8_t> bytes, int descriptor, const std::string& path) {
  constexpr std::size_t kPiece = 8u << 20;
  Progress progress("copying", bytes.size(), "bytes");
  while (!bytes.empty()) {
    if (cancel_requested()) return cancelled_error();
    const ssize_t written = ::write(descriptor, bytes.data(), std::min(kPiece, bytes.size()));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return io_error(path, "write the copy to damage");
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    progress.advance(static_cast<std::uint64_t>(written));
  }
  return {};
}

}  // namespace

DamagedCopy::DamagedCopy(DamagedCopy&& other) noexcept { *this = std::move(other); }

DamagedCopy& DamagedCopy::operator=(DamagedCopy&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(stretches_, other.stretches_);
  std::swap(data_bits_, other.data_bits_);
  std::swap(flipped_, other.flipped_);
  return *this;
}

DamagedCopy::~DamagedCopy() {
  if (descriptor_ < 0) return;
  close(descriptor_);
  unlink(path_.c_str());
}

Result<DamagedCopy> DamagedCopy::create(const ModelFile& source) {
  if (source.parts().size() != 1) {
    return fail(ErrorKind::unsupported, "{}: a model in {} parts cannot be copied to damage it",
                source.path(), source.parts().size());
  }
  std::error_code unknown;
  const std::filesystem::path folder = std::filesystem::temp_directory_path(unknown);
  DamagedCopy copy;
  copy.path_ = ((unknown ? "/tmp" : folder) / "checkbit-damaged-XXXXXX.gguf").string();
  copy.descriptor_ = mkstemps(copy.path_.data(), 5);
  if (copy.descriptor_ < 0) return io_error(copy.path_, "create the copy to damage");
  const auto bytes = source.parts()[0].bytes();
  CB_TRY_STATUS(copy_bytes(bytes, copy.descriptor_, copy.path_));
  for (const ModelTensor& tensor : source.tensors()) {
    copy.stretches_.push_back({static_cast<std::uint64_t>(tensor.bytes.data() - bytes.data()),
                               8 * static_cast<std::uint64_t>(tensor.bytes.size())});
    copy.data_bits_ += copy.stretches_.back().bits;
  }
  return copy;
}

Status DamagedCopy::toggle(std::uint64_t bit) {
  for (std::size_t i = 0; i < stretches_.size(); ++i) {
    if (bit < stretches_[i].bits) return flip_bit(i, bit / 8, static_cast<int>(bit % 8));
    bit -= stretches_[i].bits;
  }
  CB_CHECK(false);
  return {};
}

Status DamagedCopy::flip_bit(std::size_t tensor, std::uint64_t byte, int bit) {
  CB_CHECK(tensor < stretches_.size() && byte < stretches_[tensor].bits / 8 && bit < 8);
  const auto at = static_cast<off_t>(stretches_[tensor].offset + byte);
  std::uint8_t value = 0;
  if (pread(descriptor_, &value, 1, at) != 1) return io_error(path_, "read");
  value ^= static_cast<std::uint8_t>(1u << bit);
  if (pwrite(descriptor_, &value, 1, at) != 1) return io_error(path_, "write");
  return {};
}

Status DamagedCopy::write(std::size_t tensor, std::uint64_t byte,
                          std::span<const std::uint8_t> bytes) {
  CB_CHECK(tensor < stretches_.size() && byte + bytes.size() <= stretches_[tensor].bits / 8);
  const auto at = static_cast<off_t>(stretches_[tensor].offset + byte);
  if (pwrite(descriptor_, bytes.data(), bytes.size(), at) != std::ssize(bytes))
    return io_error(path_, "write");
  return {};
}

Result<std::uint64_t> DamagedCopy::flip(double rate, std::uint64_t seed, std::uint64_t trial) {
  CB_CHECK(flipped_.empty() && rate > 0 && rate < 1);
  Random random(seed, trial);
  flipped_ = draw_bits(rate, data_bits_, random);
  for (const std::uint64_t bit : flipped_) CB_TRY_STATUS(toggle(bit));
  return flipped_.size();
}

Status DamagedCopy::restore() {
  for (const std::uint64_t bit : flipped_) CB_TRY_STATUS(toggle(bit));
  flipped_.clear();
  return {};
}

}  // namespace checkbit
