// What every isa_*.cpp includes before it opens its target region: standard headers (so that none
// of their inline functions is compiled for an instruction set the machine may lack) and macros.
#pragma once

#if defined(__GNUC__) && !defined(__clang__)
// GCC's own AVX-512 headers leave undefined upper lanes on purpose (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "base/float16.h"
#include "kernels/kernels.h"

#define CB_INLINE [[gnu::always_inline]] inline
#define CB_NOINLINE [[gnu::noinline]]
#if defined(__clang__)
#define CB_UNROLL _Pragma("clang loop unroll(full)")
#else
#define CB_UNROLL _Pragma("GCC unroll 16")
#endif
/// Chains that a sum alternates between where its latency might bound the speed: one, the canonical
/// order. More only in cmake/free_order.cmake, which measures what that costs.
#ifndef CB_CHAINS
#define CB_CHAINS 1
#endif
#if CB_CHAINS > 1
#define CB_UNROLL_CHAINS _Pragma("GCC unroll 4")
#else
#define CB_UNROLL_CHAINS
#endif

namespace checkbit {
/// Four activation bytes as one integer, for the broadcast.
inline std::int32_t load_int32(const std::int8_t* p) {
  std::int32_t value;
  std::memcpy(&value, p, sizeof value);
  return value;
}
}  // namespace checkbit
