// A copy of a model file whose weights' bits can be flipped, and put back.
//
// What: `flip(rate, seed)` flips every bit of every tensor's data with that probability, seeded,
// and
//   leaves the header alone; `restore` flips the same bits back. The copy lies in the folder for
//   temporary files and goes with the object.
// Errors: io (no room, not writable), named. Threads: one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "file/model_file.h"

namespace checkbit {

class DamagedCopy {
 public:
  /// Of a file in one part. Errors: unsupported for a split model.
  static Result<DamagedCopy> create(const ModelFile& source);
  DamagedCopy(DamagedCopy&& other) noexcept;
  DamagedCopy& operator=(DamagedCopy&& other) noexcept;
  ~DamagedCopy();

  const std::string& path() const { return path_; }
  std::uint64_t data_bits() const { return data_bits_; }
  /// Flips each bit with probability `rate`; gives how many were flipped. Precondition: restored.
  Result<std::uint64_t> flip(double rate, std::uint64_t seed, std::uint64_t trial);
  /// Flips one bit of a tensor's data, or flips it back. Precondition: it is there.
  Status flip_bit(std::size_t tensor, std::uint64_t byte, int bit);
  /// Puts other bytes into a tensor's data. Precondition: they fit there.
  Status write(std::size_t tensor, std::uint64_t byte, std::span<const std::uint8_t> bytes);
  Status restore();

 private:
  struct Stretch {
    std::uint64_t offset;  ///< in the file, bytes
    std::uint64_t bits;
  };
  DamagedCopy() = default;
  Status toggle(std::uint64_t bit);

  std::string path_;
  int descriptor_ = -1;
  std::vector<Stretch> stretches_;  ///< the data of each tensor
  std::uint64_t data_bits_ = 0;
  std::vector<std::uint64_t> flipped_;  ///< numbers over all stretches
};

}  // namespace checkbit
