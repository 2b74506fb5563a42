// What an executor's guards of keys, values and steps have seen since it was made.
//
// Units: counts; a block is 16 positions of one layer.
#pragma once

#include <cstdint>

namespace checkbit {

struct MemoryCounters {
  std::uint64_t kv_blocks_verified = 0;  ///< before a store, and in turn after a pass
  std::uint64_t kv_damaged = 0;          ///< sequences found with wrong keys or values
  std::uint64_t kv_recomputed_tokens = 0;
  std::uint64_t steps = 0;            ///< other than matrix products
  std::uint64_t steps_twice = 0;      ///< of those, computed twice
  std::uint64_t steps_disagreed = 0;  ///< whose two answers were not the same
};

}  // namespace checkbit
