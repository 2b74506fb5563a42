#include "arch/kv_cache.h"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>
#include <vector>

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
  cache.key_row_bytes_ = cache_row_bytes(type, h.head_size);
  cache.value_row_bytes_ = cache_row_bytes(type, h.value_size);
  CB_TRY_STATUS(cache.allocate());
  return cache;
}

/// Memory of its own for its capacity.
Status KvCache::allocate() {
  room_ = rounded(capacity_);
  const auto bytes = static_cast<std::size_t>(layers_ * heads_ * head_bytes());
  CB_TRY(data_, AlignedBuffer::allocate(bytes, "KV cache", AlignedBuffer::Pages::small));
  return {};
}

void KvCache::truncate(std::int64_t length) {
  CB_CHECK(length >= 0 && length <= length_);
  length_ = length;
  tokens_.resize(static_cast<std::size_t>(length));
  image_.unchanged = std::min(image_.unchanged, length);
}

void KvCache::extend(std::int64_t tokens) {
  CB_CHECK(length_ + tokens <= capacity_);
  length_ += tokens;
  tokens_.resize(static_cast<std::size_t>(length_), kUnknownToken);
}

void KvCache::append(std::int32_t token) {
  extend(1);
  tokens_.back() = token;
}

/// A fork gets a page of its own in every region with the first token that it appends, the one that
/// the prefix ends in: sharing pays where whole pages come before it.
bool KvCache::worth_sharing(std::int64_t positions) const {
  constexpr std::int64_t kPagesOfRegion = 2;
  return rounded(positions) * (key_row_bytes_ + value_row_bytes_) >=
         2 * kPagesOfRegion * sysconf(_SC_PAGESIZE);
}

Status KvCache::make_image(std::int64_t length, std::int64_t room) {
  std::vector<SharedImage::Part> parts;
  std::int64_t offset = 0;
  const auto add = [&](const void* from, std::int64_t row_bytes) {
    parts.push_back({static_cast<const std::uint8_t*>(from), static_cast<std::size_t>(offset),
                     static_cast<std::size_t>(rounded(length) * row_bytes)});
    offset += room * row_bytes;
  };
  for (std::int64_t layer = 0; layer < layers_; ++layer) {
    for (std::int64_t head = 0; head < heads_; ++head) {
      add(keys(layer, head), key_row_bytes_);
      add(values(layer, head), value_row_bytes_);
    }
  }
  CB_TRY(auto bytes, SharedImage::create(static_cast<std::size_t>(offset), parts));
  image_ = {.bytes = std::move(bytes), .room = room, .unchanged = length};
  return {};
}

/// What a fork of `length` positions begins as: the image at hand while it has room and saves more
/// than it costs, or a new one. Where that is refused, the one at hand stays.
void KvCache::prepare_image(std::int64_t length, std::int64_t capacity) {
  const std::int64_t changed = length - std::min(image_.unchanged, length);
  if (image_.room >= capacity && image_.copied + changed < length) {
    image_.copied += changed;
    return;
  }
  // Room that nobody touches costs nothing: enough for forks that are to become longer than this.
  const std::int64_t most = std::max({room_, image_.room, rounded(capacity)});
  const auto room = static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(most)));
  (void)make_image(length, room);
}

bool KvCache::become_view(const Image& image) {
  auto view = image.bytes->view();
  if (!view) return false;
  data_ = *std::move(view);
  room_ = image.room;
  image_ = {
      .bytes = image.bytes, .room = image.room, .unchanged = std::min(image.unchanged, length_)};
  return true;
}

Result<KvCache> KvCache::fork(std::int64_t length, std::int64_t capacity) {
  CB_CHECK(length >= 0 && length <= length_ && capacity >= std::max<std::int64_t>(length, 1));
  KvCache branch;
  branch.length_ = length;
  branch.capacity_ = capacity;
  branch.layers_ = layers_;
  branch.heads_ = heads_;
  branch.type_ = type_;
  branch.key_row_bytes_ = key_row_bytes_;
  branch.value_row_bytes_ = value_row_bytes_;
  if (worth_sharing(length)) prepare_image(length, capacity);
  const bool share = image_.room >= capacity && worth_sharing(std::min(image_.unchanged, length));
  if (!share || !branch.become_view(image_)) CB_TRY_STATUS(branch.allocate());
  std::int64_t same = std::min(branch.image_.unchanged, length);
  // Positions behind `length` are summed with their block: with checks both have the same there.
  if (checks_) same = std::min(same, length / kCacheBlock * kCacheBlock);
  branch.copy_positions(*this, same, length);
  branch.tokens_.assign(tokens_.begin(), tokens_.begin() + length);
  branch.checks_ = checks_;
  return branch;
}

/// Whole blocks: those that [begin, end) touches. Precondition: positions below `begin` are the
/// same in both.
void KvCache::copy_positions(const KvCache& from, std::int64_t begin, std::int64_t end) {
  if (begin == end) return;
  const std::int64_t first = begin / kCacheBlock * kCacheBlock;
  const auto copy = [&](void* to, const void* source, std::int64_t row_bytes) {
    std::memcpy(static_cast<std::uint8_t*>(to) + first * row_bytes,
                static_cast<const std::uint8_t*>(source) + first * row_bytes,
                static_cast<std::size_t>((rounded(end) - first) * row_bytes));
  };
  for (std::int64_t layer = 0; layer < layers_; ++layer) {
    for (std::int64_t head = 0; head < heads_; ++head) {
      copy(keys(layer, head), from.keys(layer, head), key_row_bytes_);
      copy(values(layer, head), from.values(layer, head), value_row_bytes_);
    }
  }
}

std::array<std::span<const std::uint8_t>, 2> KvCache::block(std::int64_t layer, std::int64_t head,
                                                            std::int64_t block) const {
  const auto of = [&](const void* from, std::int64_t row_bytes) {
    const std::int64_t bytes = kCacheBlock * row_bytes;
    return std::span(static_cast<const std::uint8_t*>(from) + block * bytes,
                     static_cast<std::size_t>(bytes));
  };
  return {of(keys(layer, head), key_row_bytes_), of(values(layer, head), value_row_bytes_)};
}

void* KvCache::keys(std::int64_t layer, std::int64_t head) const {
  return data_.data() + (layer * heads_ + head) * head_bytes();
}

void* KvCache::values(std::int64_t layer, std::int64_t head) const {
  return static_cast<std::uint8_t*>(keys(layer, head)) + room_ * key_row_bytes_;
}

}  // namespace checkbit
