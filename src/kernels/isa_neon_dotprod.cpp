// The kernels compiled for neon_dotprod.
#include "kernels/isa_prelude.h"

#if defined(__aarch64__)
// Clang before 16 has no intrinsic for the instruction unless the whole file is compiled for it;
// the plain instructions then stand in.
#if defined(__clang__) && __clang_major__ < 16
#define CB_HAS_DOTPROD 0
#else
#define CB_HAS_DOTPROD 1
#endif

#if defined(__clang__)
#if CB_HAS_DOTPROD
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#endif
#else
#pragma GCC push_options
#pragma GCC target("arch=armv8.2-a+dotprod")
#endif

#define CB_ISA_ENUM Isa::neon_dotprod
#define CB_TOKEN_TILE 4

namespace checkbit::isa_neon_dotprod {
#include "kernels/simd_neon.h"
// The vocabulary comes first.
#include "kernels/isa_body.h"
}  // namespace checkbit::isa_neon_dotprod

#if !defined(__clang__)
#pragma GCC pop_options
#elif CB_HAS_DOTPROD
#pragma clang attribute pop
#endif
#endif  // __aarch64__
