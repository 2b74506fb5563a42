// Descent with the inputs that the quantized model will have: each matrix is rounded for what
// reaches it after the layers before it were rounded, and its targets moved so that part of their
// error is made up for.
//
// Reference: Quantization Error Propagation: Revisiting Layer-Wise Post-Training Quantization.

#include "quantize/rounding/encode_rows.h"

namespace checkbit {
namespace {

Status round(const RoundingTask& task, ThreadPool& pool, std::uint8_t* out) {
  return round_chunks(task, task.options.sweeps, task.options.propagation, pool, out);
}

}  // namespace

extern const RoundingMethod propagated_rounding;
const RoundingMethod propagated_rounding = {
    .name = "propagated",
    .summary = "descent on the quantized model's inputs, making up for the layers before",
    .uses_moments = true,
    .follows_drift = true,
    .sweeps = 2,
    .round = round};

}  // namespace checkbit
