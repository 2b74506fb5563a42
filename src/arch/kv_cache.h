// Keys and values of one sequence.
//
// What: per layer and key-value head, keys and then values of whole blocks of 16 positions
//   (kernels/cache_layout.h): in binary16, in 8 bits with a scale per 32 elements or, for reference
//   runs with float activations, in binary32. Memory is reserved at creation and touched as the
//   sequence grows.
// Forks: the first fork of a prefix writes it into an image (base/shared_image.h), and each fork is
//   a view of one: n forks take the memory of one prefix, of what each appends, and once more of
//   the longest of that. The sequence itself keeps its own memory. The image serves as long as the
//   sequence is not truncated below; what has changed since is copied into the fork, until copies
//   would come to a whole prefix: then there is a new image. Prefixes so short that a fork would
//   soon have pages of its own for most of them are copied, and so is all where the system has no
//   images to give. A fork may have another capacity: an image has room for the largest asked for,
//   and room that nobody touches takes no memory.
// Checks: once asked for, sums over blocks (arch/kv_checks.h) tell whether they are still as they
//   were stored; forks inherit them. The tokens are kept too, so that what is wrong can be computed
//   again.
// Units: positions count tokens from 0.
// Threads: one at a time for each cache, those of forks of one another at the same time.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "arch/architecture.h"
#include "arch/kv_checks.h"
#include "base/aligned_buffer.h"
#include "base/shared_image.h"
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
  /// The same for one token, which is remembered.
  void append(std::int32_t token);
  /// By position; kUnknownToken where extend was called. [length()]
  std::span<const std::int32_t> tokens() const { return tokens_; }
  static constexpr std::int32_t kUnknownToken = -1;
  /// Another sequence that begins with the first `length` positions and goes its own way; neither
  /// hears of the other again. Errors: memory. Precondition: 0 <= length <= length().
  Result<KvCache> fork(std::int64_t length) { return fork(length, capacity_); }
  /// The same with room of its own. Precondition: capacity >= max(length, 1).
  Result<KvCache> fork(std::int64_t length, std::int64_t capacity);
  /// Positions, from the first on, that are still as they stand in the image that forks share; 0:
  /// there is none.
  std::int64_t shared_length() const { return image_.unchanged; }

  CacheType type() const { return type_; }
  std::int64_t layers() const { return layers_; }
  std::int64_t heads() const { return heads_; }
  void* keys(std::int64_t layer, std::int64_t head) const;
  void* values(std::int64_t layer, std::int64_t head) const;

  /// Keys and values of a block of kCacheBlock positions.
  std::array<std::span<const std::uint8_t>, 2> block(std::int64_t layer, std::int64_t head,
                                                     std::int64_t block) const;

  /// Null until keep_checks.
  KvChecks* checks() { return checks_ ? &*checks_ : nullptr; }
  /// From now on, of what it holds as it is.
  void keep_checks() {
    if (!checks_) checks_.emplace(*this);
  }

  /// Keys and values that the token at `position` attends to, its own included, over all layers.
  static std::int64_t bytes_read(const Hyperparameters& h, std::int64_t position, CacheType type);
  static std::uint64_t bytes_for(const Hyperparameters& h, std::int64_t capacity, CacheType type);

 private:
  /// What a fork begins as.
  struct Image {
    std::shared_ptr<const SharedImage> bytes;
    std::int64_t room = 0;       ///< positions that its layout has room for
    std::int64_t unchanged = 0;  ///< from the first on, that are the same here
    std::int64_t copied = 0;     ///< that forks had to copy beside it
  };
  Status allocate();
  std::int64_t head_bytes() const { return room_ * (key_row_bytes_ + value_row_bytes_); }
  bool worth_sharing(std::int64_t positions) const;
  void prepare_image(std::int64_t length, std::int64_t capacity);
  Status make_image(std::int64_t length, std::int64_t room);
  bool become_view(const Image& image);
  void copy_positions(const KvCache& from, std::int64_t begin, std::int64_t end);

  std::int64_t length_ = 0;
  std::int64_t capacity_ = 0;
  std::int64_t layers_ = 0;
  std::int64_t heads_ = 0;
  CacheType type_ = CacheType::f16;
  std::int64_t key_row_bytes_ = 0;  ///< of one position and head in one layer
  std::int64_t value_row_bytes_ = 0;
  std::int64_t room_ = 0;  ///< positions of a head in data_, whole blocks, at least capacity_
  AlignedBuffer data_;     ///< [layers][heads], keys [room], then values [room]
  Image image_;
  std::vector<std::int32_t> tokens_;  ///< [length_]
  std::optional<KvChecks> checks_;
};

}  // namespace checkbit
