// How long rounding a model will take, said before it begins.
//
// What: counts the products that walking the text, gathering moments, factoring and feeding back
//   take, and times a few products and a few blocks of every format on this machine. Good to about
//   a factor of one and a half on an idle machine; others' work is not foreseen.
// Units: seconds.
// Threads: uses the pool's size alone.
#pragma once

#include "quantize/plan.h"
#include "quantize/rounding/rounding.h"

namespace checkbit {

double estimate_rounding_seconds(const Plan& plan, const RoundingMethod& method,
                                 const RoundingOptions& options, std::uint64_t tokens, int threads);

}  // namespace checkbit
