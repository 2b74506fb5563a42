// The kernels compiled for amx: products by tiles, the rest that of avx512_vnni.
#include "kernels/isa_prelude.h"

#if defined(__x86_64__)
#include "kernels/tile_configuration.h"

namespace checkbit::isa_avx512_vnni {
Kernels make_kernels();
}

#if defined(__clang__)
#pragma clang attribute push(                                                            \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c," \
                          "amx-tile,amx-int8"))),                                        \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c,amx-tile,amx-int8")
#endif

#define CB_TOKEN_TILE 8
#define CB_HAS_VNNI 1

namespace checkbit::isa_amx {

const Kernels& vector_kernels() {
  static const Kernels kernels = isa_avx512_vnni::make_kernels();
  return kernels;
}

#include "kernels/simd_avx512.h"
#include "kernels/tiles_amx.h"
// The vocabularies come first.
#include "kernels/product_body.h"
#include "kernels/product_tiles_body.h"
}  // namespace checkbit::isa_amx

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif  // __x86_64__
