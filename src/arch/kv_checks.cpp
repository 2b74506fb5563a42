#include "arch/kv_checks.h"

#include <atomic>

#include "arch/kv_cache.h"
#include "base/thread_pool.h"
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

std::optional<std::int64_t> KvChecks::verify_next(const KvCache& cache, std::int64_t every,
                                                  ThreadPool& pool) {
  constexpr std::int64_t kWorthwhile = 8;  // fewer are not worth a barrier
  const std::int64_t all = blocks_of(cache.length()) * layers_;
  const std::int64_t count = (all + every - 1) / every;
  const std::int64_t start = next_ < all ? next_ : 0;
  std::atomic<std::int64_t> first_wrong{all};  // block
  const auto verify_some = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t at = (start + i) % all;
      const std::int64_t block = at / layers_;
      if (verify(cache, at % layers_, block)) continue;
      std::int64_t known = first_wrong;
      while (block < known && !first_wrong.compare_exchange_weak(known, block)) {
      }
    }
  };
  if (count < kWorthwhile) {
    verify_some(0, count);
  } else {
    pool.for_ranges(count, verify_some);
  }
  next_ = start + count;
  if (next_ >= all) next_ -= all;
  verified_ += static_cast<std::uint64_t>(count);
  if (first_wrong == all) return std::nullopt;
  return first_wrong * kCacheBlock;
}

}  // namespace checkbit
