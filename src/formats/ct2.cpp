// CT2, our own: 2-bit codes on a trellis, in groups of 32, 2.25 bits per weight.
//
// Layout with byte offsets and an example: docs/formats/trellis.md. How: trellis.h.

#include "formats/trellis.h"

namespace checkbit {

static_assert(sizeof(TrellisBlock<kTrellis2>) == 9);
static_assert(offsetof(TrellisBlock<kTrellis2>, codes) == 1);

extern const Format ct2_format;
const Format ct2_format = trellis_format<kTrellis2, ct2_format>(
    "CT2", "2 bits, 64 levels by the codes of neighbours, one 8-bit scale per 32 (Checkbit only)");

}  // namespace checkbit
