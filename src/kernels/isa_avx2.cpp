// The kernels compiled for avx2.
#include "kernels/isa_prelude.h"

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif

#define CB_ISA_ENUM Isa::avx2
#define CB_TOKEN_TILE 4

namespace checkbit::isa_avx2 {
#include "kernels/simd_avx2.h"
// The vocabulary comes first.
#include "kernels/isa_body.h"
}  // namespace checkbit::isa_avx2

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif  // __x86_64__
