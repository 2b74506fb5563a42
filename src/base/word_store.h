// Mending memory that other threads are reading.
//
// What: writes the 8-byte words that differ, each in one aligned store, which every 64-bit
// processor
//   makes visible whole: a reader sees the word as it was or as it ought to be, never half of each.
//   Nothing tells readers when. That is safe here because both are states that the memory really
//   had: whoever computed with the damaged word is told by the check of its product, and whoever
//   computes with the right one is right.
// Why not std::atomic_ref: readers are vector kernels with plain loads. The language calls an
// atomic
//   store beside a plain load a race, and ThreadSanitizer reports it, although aligned words are
//   all that either needs. The store is therefore written as the one machine instruction that it
//   is.
// Preconditions: target begins at a multiple of 8. One writer at a time.
// Reference: Intel SDM volume 3A, 9.1.1 (guaranteed atomic operations); Arm ARM B2.2.1.
#pragma once

#include <bit>
#include <cstdint>
#include <span>

#include "base/bytes.h"

namespace checkbit {

inline void store_word(std::uint64_t* place, std::uint64_t word) {
#if defined(__x86_64__)
  asm volatile("movq %1, %0" : "=m"(*place) : "r"(word));
#elif defined(__aarch64__)
  asm volatile("str %1, %0" : "=m"(*place) : "r"(word));
#else
  __atomic_store_n(place, word, __ATOMIC_RELAXED);
#endif
}

/// Makes target what `right` is (as many bytes); how many bits were different. Fewer than 8 bytes
/// at the end are written one by one.
inline std::uint64_t store_differences(std::span<std::uint8_t> target, const std::uint8_t* right) {
  constexpr std::size_t kWordBytes = sizeof(std::uint64_t);
  std::uint64_t flipped = 0;
  std::size_t at = 0;
  for (; at + kWordBytes <= target.size(); at += kWordBytes) {
    const auto word = load_unaligned<std::uint64_t>(right + at);
    const auto now = load_unaligned<std::uint64_t>(target.data() + at);
    if (now == word) continue;
    flipped += static_cast<std::uint64_t>(std::popcount(now ^ word));
    store_word(reinterpret_cast<std::uint64_t*>(target.data() + at), word);
  }
  for (; at < target.size(); ++at) {
    flipped += static_cast<std::uint64_t>(std::popcount<std::uint8_t>(target[at] ^ right[at]));
    target[at] = right[at];
  }
  return flipped;
}

}  // namespace checkbit
