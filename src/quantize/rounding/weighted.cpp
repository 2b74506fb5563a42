// Scales that suit the columns by their energy, every value to its nearest level.

#include "quantize/rounding/encode_rows.h"

namespace checkbit {
namespace {

Status round(const RoundingTask& task, ThreadPool& pool, std::uint8_t* out) {
  return encode_rows(task, task.importance.empty() ? nullptr : task.importance.data(), pool, out);
}

}  // namespace

extern const RoundingMethod weighted_rounding;
const RoundingMethod weighted_rounding = {
    .name = "weighted",
    .summary = "each block by itself, columns counting by the energy of their input",
    .uses_importance = true,
    .round = round};

}  // namespace checkbit
