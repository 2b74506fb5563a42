// Every value to its nearest level under the scales that suit the block alone.

#include "quantize/rounding/encode_rows.h"

namespace checkbit {
namespace {

Status round(const RoundingTask& task, ThreadPool& pool, std::uint8_t* out) {
  return encode_rows(task, nullptr, pool, out);
}

}  // namespace

extern const RoundingMethod nearest_rounding;
const RoundingMethod nearest_rounding = {
    .name = "nearest",
    .summary = "each block by itself, every column counting the same",
    .round = round};

}  // namespace checkbit
