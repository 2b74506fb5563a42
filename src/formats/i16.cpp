// I16: 16-bit signed integers, little endian, one per block. Decoding is exact.

#include "formats/format.h"
#include "formats/number_decode.h"

namespace checkbit {

extern const Format i16_format;
const Format i16_format = {.name = "I16",
                           .type_id = 25,
                           .block_elements = 1,
                           .block_bytes = 2,
                           .summary = "16-bit signed integer",
                           .decode = decode_numbers<std::int16_t>,
                           .is_finite = always_finite};

}  // namespace checkbit
