#include "arch/kv_cache.h"

namespace checkbit {
namespace {
constexpr std::int64_t kLanes = 16;
std::size_t element_bytes(CacheType type) {
  return type == CacheType::f16 ? sizeof(std::uint16_t) : sizeof(float);
}
std::int64_t rounded(std::int64_t capacity) { return (capacity + kLanes - 1) / kLanes * kLanes; }
}  // namespace

std::uint64_t KvCache::bytes_for(const Hyperparameters& h, std::int64_t capacity, CacheType type) {
  return static_cast<std::uint64_t>(rounded(capacity)) *
         static_cast<std::uint64_t>(h.layers * h.key_value_heads) *
         static_cast<std::uint64_t>(h.head_size + h.value_size) * element_bytes(type);
}

Result<KvCache> KvCache::create(const Hyperparameters& h, std::int64_t capacity, CacheType type) {
  constexpr std::int64_t kLargest = std::int64_t{1} << 30;
  if (capacity < 1 || capacity > kLargest) {
    return fail(ErrorKind::invalid, "a context of {} tokens is not in 1..{}", capacity, kLargest);
  }
  KvCache cache;
  cache.type_ = type;
  cache.capacity_ = capacity;
  cache.heads_ = h.key_value_heads;
  cache.key_size_ = rounded(capacity) * h.head_size;
  cache.value_size_ = rounded(capacity) * h.value_size;
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

void* KvCache::keys(std::int64_t layer, std::int64_t head) const {
  const auto elements =
      static_cast<std::size_t>((layer * heads_ + head) * (key_size_ + value_size_));
  return data_.data() + elements * element_bytes(type_);
}

void* KvCache::values(std::int64_t layer, std::int64_t head) const {
  return static_cast<std::uint8_t*>(keys(layer, head)) +
         static_cast<std::size_t>(key_size_) * element_bytes(type_);
}

}  // namespace checkbit
