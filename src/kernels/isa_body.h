// Everything that is compiled once per instruction set. The including file has opened the target
// region and the namespace, and defined CB_ISA_ENUM, CB_TOKEN_TILE and the vocabulary.

// Each needs those before it.
// clang-format off
#include "kernels/product_body.h"
#include "kernels/quantize_body.h"
#include "kernels/check_body.h"
#include "kernels/float_product_body.h"
#include "kernels/elementwise_body.h"
#include "kernels/attention_keys_body.h"
#include "kernels/attention_values_body.h"
#include "kernels/attention_body.h"
#include "kernels/attention_store_body.h"
// clang-format on

Kernels make_kernels() {
  Kernels k;
  k.isa = CB_ISA_ENUM;
#define CHECKBIT_PRODUCT(name, ...) \
  k.products[static_cast<int>(ProductKind::name)] = product<Product<ProductKind::name>>;
#include "kernels/products.def"
#undef CHECKBIT_PRODUCT
#define CHECKBIT_KERNEL(result, name, parameters) k.name = name;
#include "kernels/kernels.def"
#undef CHECKBIT_KERNEL
  return k;
}
