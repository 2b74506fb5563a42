// Second-order error feedback: what rounding one column gets wrong, the columns after it make up.
//
// Reference: GPTQ (arXiv 2210.17323), LDLQ of QuIP (2307.13304), for any format by blocks.

#include "quantize/rounding/encode_rows.h"

namespace checkbit {
namespace {

Status round(const RoundingTask& task, ThreadPool& pool, std::uint8_t* out) {
  return round_chunks(task, 0, 0, pool, out);
}

}  // namespace

extern const RoundingMethod feedback_rounding;
const RoundingMethod feedback_rounding = {
    .name = "feedback",
    .summary = "second moments of the input: later columns make up for the errors of earlier ones",
    .uses_moments = true,
    .round = round};

}  // namespace checkbit
