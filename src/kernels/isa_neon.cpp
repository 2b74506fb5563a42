// The kernels compiled for neon: what every Armv8-A processor has.
#include "kernels/isa_prelude.h"

#if defined(__aarch64__)

#define CB_ISA_ENUM Isa::neon
#define CB_TOKEN_TILE 4
#define CB_HAS_DOTPROD 0

namespace checkbit::isa_neon {
#include "kernels/simd_neon.h"
// The vocabulary comes first.
#include "kernels/isa_body.h"
}  // namespace checkbit::isa_neon

#endif  // __aarch64__
