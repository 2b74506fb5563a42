#include "arch/kv_checks.h"

#include <algorithm>

#include "arch/kv_cache.h"
#include "protect/block_check.h"

namespace checkbit {
namespace {

std::int64_t blocks_of(std::int64_t positions) {
  return (positions + kCacheBlock - 1) / kCacheBlock;
}

std::uint64_t sum_of(const KvCache& cache, std::int64_t layer, std::int64_t block) {
  std::uint64_t sum = 0;
  for (std::int64_t head = 0; head < cache.heads(); ++head) {
    for (const std::span<const std::uint8_t> bytes : cache.block(layer, head, block))
      sum = crc64(bytes, sum);
  }
  return sum;
}

}  // namespace

KvChecks::KvChecks(const KvCache& cache) : layers_(cache.layers()) {
  make_room(cache.length());
  for (std::int64_t block = 0; block < blocks_of(cache.length()); ++block) {
    for (std::int64_t layer = 0; layer < layers_; ++layer) seal(cache, layer, block);
  }
}

void KvChecks::make_room(std::int64_t positions) {
  const auto needed = static_cast<std::size_t>(blocks_of(positions) * layers_);
  if (sums_.size() < needed) sums_.resize(needed);
}

void KvChecks::seal(const KvCache& cache, std::int64_t layer, std::int64_t block) {
  sum(layer, block) = sum_of(cache, layer, block);
}

bool KvChecks::verify(const KvCache& cache, std::int64_t layer, std::int64_t block) const {
  return sums_[static_cast<std::size_t>(block * layers_ + layer)] == sum_of(cache, layer, block);
}

std::optional<std::int64_t> KvChecks::verify_next(const KvCache& cache, std::int64_t every) {
  const std::int64_t all = blocks_of(cache.length()) * layers_;
  std::optional<std::int64_t> wrong;
  for (std::int64_t left = (all + every - 1) / every; left > 0; --left) {
    if (next_ >= all) next_ = 0;
    const std::int64_t block = next_ / layers_;
    if (!verify(cache, next_ % layers_, block)) {
      const std::int64_t position = block * kCacheBlock;
      wrong = wrong ? std::min(*wrong, position) : position;
    }
    ++next_;
    ++verified_;
  }
  return wrong;
}

}  // namespace checkbit
