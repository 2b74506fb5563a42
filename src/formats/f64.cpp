// F64: IEEE binary64, little endian, one value per block. Decoding rounds to float, nearest even.

#include <cmath>

#include "formats/format.h"
#include "formats/number_decode.h"

namespace checkbit {
namespace {

/// Also false when the value is too large for a float.
bool is_finite(const std::uint8_t* block) {
  return std::isfinite(static_cast<float>(load_unaligned<double>(block)));
}

}  // namespace

extern const Format f64_format;
const Format f64_format = {.name = "F64",
                           .type_id = 28,
                           .block_elements = 1,
                           .block_bytes = 8,
                           .summary = "64-bit float",
                           .decode = decode_numbers<double>,
                           .is_finite = is_finite};

}  // namespace checkbit
