// F16: IEEE binary16, little endian, one value per block.
//
// Range: 65504; smallest normal 2^-14, smallest subnormal 2^-24. 11 significant bits.

#include "formats/integer_form.h"

namespace checkbit {
namespace {

void decode(const std::uint8_t* blocks, std::size_t n_blocks, float* out) {
  for (std::size_t i = 0; i < n_blocks; ++i) {
    out[i] = half_to_float(load_unaligned<std::uint16_t>(blocks + 2 * i));
  }
}

/// Rounds to nearest even; values beyond the range become the largest finite half.
void encode(const float* in, std::size_t n_blocks, const float*, std::uint8_t* blocks) {
  for (std::size_t i = 0; i < n_blocks; ++i) {
    store_unaligned(blocks + 2 * i, float_to_half(std::clamp(in[i], -65504.0f, 65504.0f)));
  }
}

}  // namespace

extern const Format f16_format;
const Format f16_format = {.name = "F16",
                           .type_id = 1,
                           .block_elements = 1,
                           .block_bytes = 2,
                           .summary = "16-bit float (IEEE binary16)",
                           .decode = decode,
                           .encode = encode,
                           .is_finite = half_at_is_finite<0>};

}  // namespace checkbit
