// Keys and values of one sequence.
//
// What: per layer and key-value head, keys [capacity / 16][head_size][16] and values
//   [capacity][value_size] (layout of AttentionArguments), binary16 or, for reference runs with
//   float activations, binary32. Memory is reserved at creation and touched as the sequence grows.
// Units: positions count tokens from 0.
// Threads: one writer.
#pragma once

#include <cstdint>

#include "arch/architecture.h"
#include "base/aligned_buffer.h"
#include "kernels/kernels.h"

namespace checkbit {

class KvCache {
 public:
  /// For `capacity` tokens; memory is taken for whole blocks of 16. Errors: memory, invalid
  /// (capacity < 1).
  static Result<KvCache> create(const Hyperparameters& h, std::int64_t capacity,
                                CacheType type = CacheType::f16);

  std::int64_t length() const { return length_; }
  std::int64_t capacity() const { return capacity_; }
  /// Forgets positions from `length` on. Precondition: 0 <= length <= length().
  void truncate(std::int64_t length);
  /// Precondition: length() + tokens <= capacity().
  void extend(std::int64_t tokens);

  CacheType type() const { return type_; }
  void* keys(std::int64_t layer, std::int64_t head) const;
  void* values(std::int64_t layer, std::int64_t head) const;

  static std::uint64_t bytes_for(const Hyperparameters& h, std::int64_t capacity,
                                 CacheType type = CacheType::f16);

 private:
  std::int64_t length_ = 0;
  std::int64_t capacity_ = 0;
  std::int64_t heads_ = 0;
  CacheType type_ = CacheType::f16;
  std::int64_t key_size_ = 0;  ///< elements per head and layer
  std::int64_t value_size_ = 0;
  AlignedBuffer data_;
};

}  // namespace checkbit
