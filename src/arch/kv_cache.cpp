#include "arch/kv_cache.h"

#include <algorithm>
#include <cstring>

namespace checkbit {
namespace {
/// Positions there is memory for.
std::int64_t rounded(std::int64_t capacity) {
  return (capacity + kCacheBlock - 1) / kCacheBlock * kCacheBlock;
}
}  // namespace

std::uint64_t KvCache::bytes_for(const Hyperparameters& h, std::int64_t capacity, CacheType type) {
  return static_cast<std::uint64_t>(h.layers * h.key_value_heads) *
         static_cast<std::uint64_t>(cache_bytes(type, h.head_size, rounded(capacity)) +
                                    cache_bytes(type, h.value_size, rounded(capacity)));
}

std::int64_t KvCache::bytes_read(const Hyperparameters& h, std::int64_t position, CacheType type) {
  const std::int64_t row = cache_row_bytes(type, h.head_size) + cache_row_bytes(type, h.value_size);
  std::int64_t positions = 0;
  for (std::int64_t layer = 0; layer < h.layers; ++layer)
    positions += position - h.first_seen(layer, position) + 1;
  return positions * h.key_value_heads * row;
}

Result<KvCache> KvCache::create(const Hyperparameters& h, std::int64_t capacity, CacheType type) {
  constexpr std::int64_t kLargest = std::int64_t{1} << 30;
  if (capacity < 1 || capacity > kLargest) {
    return fail(ErrorKind::invalid, "a context of {} tokens is not in 1..{}", capacity, kLargest);
  }
  KvCache cache;
  cache.type_ = type;
  cache.capacity_ = capacity;
  cache.layers_ = h.layers;
  cache.heads_ = h.key_value_heads;
  cache.key_bytes_ = cache_bytes(type, h.head_size, rounded(capacity));
  cache.value_bytes_ = cache_bytes(type, h.value_size, rounded(capacity));
  CB_TRY(cache.data_, AlignedBuffer::allocate(bytes_for(h, capacity, type), "KV cache",
                                              AlignedBuffer::Pages::small));
  return cache;
}

void KvCache::truncate(std::int64_t length) {
  CB_CHECK(length >= 0 && length <= length_);
  length_ = length;
}

void KvCache::extend(std::int64_t tokens) {
  CB_CHECK(length_ + tokens <= capacity_);
  length_ += tokens;
}

Result<KvCache> KvCache::fork(std::int64_t length, std::int64_t capacity) const {
  CB_CHECK(length >= 0 && length <= length_ && capacity >= std::max<std::int64_t>(length, 1));
  const auto resized = [&](std::int64_t bytes) {
    return bytes / rounded(capacity_) * rounded(capacity);
  };
  KvCache branch;
  branch.length_ = length;
  branch.capacity_ = capacity;
  branch.layers_ = layers_;
  branch.heads_ = heads_;
  branch.type_ = type_;
  branch.key_bytes_ = resized(key_bytes_);
  branch.value_bytes_ = resized(value_bytes_);
  const auto bytes =
      static_cast<std::size_t>(layers_ * heads_ * (branch.key_bytes_ + branch.value_bytes_));
  CB_TRY(branch.data_, AlignedBuffer::allocate(bytes, "KV cache", AlignedBuffer::Pages::small));
  const auto filled = [&](std::int64_t whole) {
    return static_cast<std::size_t>(whole / rounded(capacity_) * rounded(length));
  };
  for (std::int64_t layer = 0; layer < layers_; ++layer) {
    for (std::int64_t head = 0; head < heads_; ++head) {
      std::memcpy(branch.keys(layer, head), keys(layer, head), filled(key_bytes_));
      std::memcpy(branch.values(layer, head), values(layer, head), filled(value_bytes_));
    }
  }
  return branch;
}

void* KvCache::keys(std::int64_t layer, std::int64_t head) const {
  return data_.data() + (layer * heads_ + head) * (key_bytes_ + value_bytes_);
}

void* KvCache::values(std::int64_t layer, std::int64_t head) const {
  return static_cast<std::uint8_t*>(keys(layer, head)) + key_bytes_;
}

}  // namespace checkbit
