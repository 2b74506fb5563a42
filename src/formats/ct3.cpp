// CT3, our own: 3-bit codes on a trellis, in groups of 32, 3.25 bits per weight.
//
// Layout with byte offsets and an example: docs/formats/trellis.md. How: trellis.h.

#include "formats/trellis.h"

namespace checkbit {

static_assert(sizeof(TrellisBlock<kTrellis3>) == 13);
static_assert(offsetof(TrellisBlock<kTrellis3>, codes) == 1);

extern const Format ct3_format;
const Format ct3_format = trellis_format<kTrellis3, ct3_format>(
    "CT3", "3 bits, 64 levels by the codes of neighbours, one 8-bit scale per 32 (Checkbit only)");

}  // namespace checkbit
