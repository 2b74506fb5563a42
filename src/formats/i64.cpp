// I64: 64-bit signed integers, little endian, one per block. Decoding is rounded to float, nearest
// even.

#include "formats/format.h"
#include "formats/number_decode.h"

namespace checkbit {

extern const Format i64_format;
const Format i64_format = {.name = "I64",
                           .type_id = 27,
                           .block_elements = 1,
                           .block_bytes = 8,
                           .summary = "64-bit signed integer",
                           .decode = decode_numbers<std::int64_t>,
                           .is_finite = always_finite};

}  // namespace checkbit
