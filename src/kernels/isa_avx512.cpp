// The kernels compiled for avx512.
#include "kernels/isa_prelude.h"

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(                                                    \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")
#endif

#define CB_ISA_ENUM Isa::avx512
#define CB_TOKEN_TILE 8
#define CB_HAS_VNNI 0

namespace checkbit::isa_avx512 {
#include "kernels/simd_avx512.h"
// The vocabulary comes first.
#include "kernels/isa_body.h"
}  // namespace checkbit::isa_avx512

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif  // __x86_64__
