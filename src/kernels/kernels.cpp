#include "kernels/kernels.h"

#include <array>

namespace checkbit {

namespace isa_scalar {
Kernels make_kernels();
}
namespace isa_avx2 {
Kernels make_kernels();
}
namespace isa_avx512 {
Kernels make_kernels();
}
namespace isa_avx512_vnni {
Kernels make_kernels();
}
namespace isa_amx {
Kernels make_kernels();
}
namespace isa_neon {
Kernels make_kernels();
}
namespace isa_neon_dotprod {
Kernels make_kernels();
}

namespace {

/// Made at the first use: even making the table may take instructions that the machine lacks.
template <Kernels (*kMake)()>
const Kernels& made() {
  static const Kernels kernels = kMake();
  return kernels;
}

bool same_structure(const IntegerForm& a, const IntegerForm& b) {
  return a.scale_elements == b.scale_elements && a.sub_elements == b.sub_elements &&
         a.has_sub_scale == b.has_sub_scale && a.has_min == b.has_min &&
         a.has_sub_min == b.has_sub_min && a.min_ratio == b.min_ratio &&
         a.activation_elements == b.activation_elements;
}

}  // namespace

const Kernels& kernels_for(Isa isa) {
  CB_CHECK(machine_has(isa));
#if defined(__x86_64__)
  if (isa == Isa::avx2) return made<isa_avx2::make_kernels>();
  if (isa == Isa::avx512) return made<isa_avx512::make_kernels>();
  if (isa == Isa::avx512_vnni) return made<isa_avx512_vnni::make_kernels>();
  if (isa == Isa::amx) return made<isa_amx::make_kernels>();
#elif defined(__aarch64__)
  if (isa == Isa::neon) return made<isa_neon::make_kernels>();
  if (isa == Isa::neon_dotprod) return made<isa_neon_dotprod::make_kernels>();
#endif
  return made<isa_scalar::make_kernels>();
}

Result<ProductChoice> find_product(const IntegerForm& form) {
  const int bits = form.window > 1 ? form.bits : panel_layout(form).bits;
  const bool table = form.table != nullptr;
  for (const bool widened : {false, true}) {
    for (const ProductLine& line : kProductLines) {
      const bool fits = widened
                            ? line.form.bits == 8 && !line.table && !line.form.half_scales
                            : line.form.bits == bits && line.form.window == form.window &&
                                  line.table == table && line.form.half_scales == form.half_scales;
      if (!fits || !same_structure(line.form, form)) continue;
      IntegerForm packed = form;
      packed.bits = line.form.bits;
      packed.window = line.form.window;
      packed.half_scales = line.form.half_scales;
      return ProductChoice{line.kind, packed, widened, line.name};
    }
  }
  return fail(ErrorKind::not_found, "no product kernel for {} bits in groups of {}", form.bits,
              form.scale_elements);
}

}  // namespace checkbit
