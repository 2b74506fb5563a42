// Keys and values of one sequence.
//
// What: per layer and key-value head, keys and then values of whole blocks of 16 positions
//   (kernels/cache_layout.h): in binary16, in 8 bits with a scale per 32 elements or, for reference
//   runs with float activations, in binary32. Memory is reserved at creation and touched as the
//   sequence grows.
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
  /// Another sequence that begins with the first `length` positions and goes its own way; neither
  /// hears of the other again. Copies what they hold, in whole blocks of 16: 28 kB a position for
  /// the 1.5B model in binary16. Errors: memory. Precondition: 0 <= length <= length().
  Result<KvCache> fork(std::int64_t length) const { return fork(length, capacity_); }
  /// The same with room of its own. Precondition: capacity >= max(length, 1).
  Result<KvCache> fork(std::int64_t length, std::int64_t capacity) const;

  CacheType type() const { return type_; }
  void* keys(std::int64_t layer, std::int64_t head) const;
  void* values(std::int64_t layer, std::int64_t head) const;

  /// Keys and values that the token at `position` attends to, its own included, over all layers.
  static std::int64_t bytes_read(const Hyperparameters& h, std::int64_t position, CacheType type);
  static std::uint64_t bytes_for(const Hyperparameters& h, std::int64_t capacity, CacheType type);

 private:
  std::int64_t length_ = 0;
  std::int64_t capacity_ = 0;
  std::int64_t layers_ = 0;
  std::int64_t heads_ = 0;
  CacheType type_ = CacheType::f16;
  std::int64_t key_bytes_ = 0;  ///< of one head in one layer
  std::int64_t value_bytes_ = 0;
  AlignedBuffer data_;
};

}  // namespace checkbit
