// I8: 8-bit signed integers, one per block. Decoding is exact.

#include "formats/format.h"
#include "formats/number_decode.h"

namespace checkbit {

extern const Format i8_format;
const Format i8_format = {.name = "I8",
                          .type_id = 24,
                          .block_elements = 1,
                          .block_bytes = 1,
                          .summary = "8-bit signed integer",
                          .decode = decode_numbers<std::int8_t>,
                          .is_finite = always_finite};

}  // namespace checkbit
