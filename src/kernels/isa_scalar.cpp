// The kernels compiled for scalar.
#include "kernels/isa_prelude.h"

#define CB_ISA_ENUM Isa::scalar
#define CB_TOKEN_TILE 1

namespace checkbit::isa_scalar {
#include "kernels/simd_scalar.h"
// The vocabulary comes first.
#include "kernels/isa_body.h"
}  // namespace checkbit::isa_scalar
