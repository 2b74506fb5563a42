// The kernels of isa_amx.cpp with emulated tiles over the scalar vocabulary, for tests on any
// machine. Included by one file of a test program, outside every namespace.
#pragma once

#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "kernels/isa_prelude.h"
#include "kernels/tile_configuration.h"

// Unrolled, it would take a compiler a minute.
#undef CB_UNROLL
#define CB_UNROLL
#define CB_TOKEN_TILE 1

namespace checkbit::emulated_amx {

const Kernels& vector_kernels() { return kernels_for(Isa::scalar); }

#include "kernels/simd_scalar.h"
#include "kernels/tiles_emulated.h"
// The vocabularies come first.
#include "kernels/product_body.h"
#include "kernels/product_tiles_body.h"
}  // namespace checkbit::emulated_amx

#undef CB_TOKEN_TILE
