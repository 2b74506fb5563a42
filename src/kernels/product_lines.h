// The lines of products.def as constants: name, kind and integer form of every product kernel.
#pragma once

#include <string_view>

#include "formats/format.h"

namespace checkbit {

enum class ProductKind {
#define CHECKBIT_PRODUCT(name, ...) name,
#include "kernels/products.def"
#undef CHECKBIT_PRODUCT
  count
};

struct ProductLine {
  std::string_view name;
  ProductKind kind;
  bool table;  ///< q indexes a table of 16 values, or of 64 by a window
  IntegerForm form;
};

inline constexpr ProductLine kProductLines[] = {
// clang-format off
#define CHECKBIT_PRODUCT(NAME, BITS, WINDOW, TABLE, SCALE, SUB, SUB_SCALE, MIN, SUB_MIN, RATIO, HALF, ACTIVATION) \
  {#NAME, ProductKind::NAME, TABLE,                                                                       \
   {.bits = BITS, .window = WINDOW, .scale_elements = SCALE, .sub_elements = SUB, .has_sub_scale = SUB_SCALE,               \
    .has_min = MIN, .has_sub_min = SUB_MIN, .min_ratio = RATIO, .half_scales = HALF,                      \
    .activation_elements = ACTIVATION}},
// clang-format on
#include "kernels/products.def"
#undef CHECKBIT_PRODUCT
};

constexpr const ProductLine& product_line(ProductKind kind) {
  return kProductLines[static_cast<int>(kind)];
}

}  // namespace checkbit
