// How the keys and values of one key-value head lie in memory.
//
// What: blocks of 16 positions, one after the other, in one of three types. With n elements a
//   position (head size of keys, value size of values) a block of keys is
//     f16, f32  [n][16]
//     q8_0      signed bytes [N / 2][16][2], then binary16 scales [N / 32][16]
//   and one of values
//     f16, f32  [16][n]
//     q8_0      signed bytes [16][N], then binary16 scales [N / 32][16]
//   N is n rounded up to whole groups of 32; bytes beyond n are zero. An element of q8_0 is its
//   byte times the scale of its position and group, as in the number format of that name.
// Units: bytes. Threads: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace checkbit {

enum class CacheType { f16, q8_0, f32 };
inline constexpr CacheType kCacheTypes[] = {CacheType::f16, CacheType::q8_0, CacheType::f32};

constexpr std::string_view to_string(CacheType type) {
  return type == CacheType::f16 ? "f16" : type == CacheType::q8_0 ? "q8_0" : "f32";
}

inline constexpr std::int64_t kCacheBlock = 16;  ///< positions of a block
inline constexpr std::int64_t kCacheGroup = 32;  ///< elements under one scale of q8_0

constexpr std::int64_t cache_groups(std::int64_t elements) {
  return (elements + kCacheGroup - 1) / kCacheGroup;
}

/// What one position takes of a block.
constexpr std::int64_t cache_row_bytes(CacheType type, std::int64_t elements) {
  if (type == CacheType::q8_0) {
    constexpr std::int64_t kScaleBytes = sizeof(std::uint16_t);
    return cache_groups(elements) * (kCacheGroup + kScaleBytes);
  }
  return elements *
         static_cast<std::int64_t>(type == CacheType::f16 ? sizeof(std::uint16_t) : sizeof(float));
}

/// Keys or values of `positions` positions, a multiple of kCacheBlock.
constexpr std::int64_t cache_bytes(CacheType type, std::int64_t elements, std::int64_t positions) {
  return positions * cache_row_bytes(type, elements);
}

}  // namespace checkbit
