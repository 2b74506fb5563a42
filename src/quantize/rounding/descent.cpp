// Error feedback, then descent: block after block is rounded anew around its best place given all
// others, scales and integers, and kept where the loss falls. No gradients.
//
// Reference: COMQ: A Backpropagation-Free Algorithm for Post-Training Quantization: coordinates of
// the layer's reconstruction error, scales and bit-codes alike, improved in turn in a chosen order.

#include "quantize/rounding/encode_rows.h"

namespace checkbit {
namespace {

Status round(const RoundingTask& task, ThreadPool& pool, std::uint8_t* out) {
  return round_chunks(task, task.options.sweeps, 0, pool, out);
}

}  // namespace

extern const RoundingMethod descent_rounding;
const RoundingMethod descent_rounding = {
    .name = "descent",
    .summary = "feedback, then blocks rounded anew in turn as long as the loss falls",
    .uses_moments = true,
    .sweeps = 2,
    .round = round};

}  // namespace checkbit
