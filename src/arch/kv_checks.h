// Checksums over the blocks of a KvCache: what attention reads is what was stored.
//
// What: one CRC64 for each layer and block of 16 positions, over the keys and values of all heads.
//   A block is verified before a token is stored into it and sealed again afterwards; whole
//   blocks are verified in turn, so many at a time as the caller says.
// Cost: 8 bytes for each block and layer. A fork takes a copy of them.
// Preconditions: the cache given is the one these checks belong to.
// Threads: different blocks may be sealed and verified at once after make_room.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace checkbit {

class KvCache;
class ThreadPool;

class KvChecks {
 public:
  /// Of everything that the cache holds now, as it is.
  explicit KvChecks(const KvCache& cache);

  /// For `positions` positions. Not at the same time as anything else.
  void make_room(std::int64_t positions);
  void seal(const KvCache& cache, std::int64_t layer, std::int64_t block);
  bool verify(const KvCache& cache, std::int64_t layer, std::int64_t block) const;

  /// Verifies the next ceil(1 / every) of all layers and blocks; every == 1: all of them.
  /// The first position of the first block found wrong.
  std::optional<std::int64_t> verify_next(const KvCache& cache, std::int64_t every,
                                          ThreadPool& pool);
  /// Verified so far by verify_next.
  std::uint64_t verified() const { return verified_; }
  std::uint64_t bytes() const { return sums_.size() * sizeof(std::uint64_t); }

 private:
  std::uint64_t& sum(std::int64_t layer, std::int64_t block) {
    return sums_[static_cast<std::size_t>(block * layers_ + layer)];
  }

  std::int64_t layers_;
  std::vector<std::uint64_t> sums_;  ///< [blocks][layers]
  std::int64_t next_ = 0;            ///< of verify_next, in the order of sums_
  std::uint64_t verified_ = 0;
};

}  // namespace checkbit
