// I32: 32-bit signed integers, little endian, one per block. Decoding is rounded to float, nearest
// even.

#include "formats/format.h"
#include "formats/number_decode.h"

namespace checkbit {

extern const Format i32_format;
const Format i32_format = {.name = "I32",
                           .type_id = 26,
                           .block_elements = 1,
                           .block_bytes = 4,
                           .summary = "32-bit signed integer",
                           .decode = decode_numbers<std::int32_t>,
                           .is_finite = always_finite};

}  // namespace checkbit
