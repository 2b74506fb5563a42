// BF16: the upper 16 bits of IEEE binary32, little endian, one value per block.
//
// Range: that of binary32; 8 significant bits.

#include <algorithm>

#include "base/bytes.h"
#include "base/float16.h"
#include "formats/format.h"

namespace checkbit {
namespace {

constexpr float kLargest = 0x1.fep127f;

void decode(const std::uint8_t* blocks, std::size_t n_blocks, float* out) {
  for (std::size_t i = 0; i < n_blocks; ++i) {
    out[i] = bfloat16_to_float(load_unaligned<std::uint16_t>(blocks + 2 * i));
  }
}

/// Rounds to nearest even; what would round to infinity becomes the largest finite value.
void encode(const float* in, std::size_t n_blocks, const float*, std::uint8_t* blocks) {
  for (std::size_t i = 0; i < n_blocks; ++i) {
    store_unaligned(blocks + 2 * i, float_to_bfloat16(std::clamp(in[i], -kLargest, kLargest)));
  }
}

bool is_finite(const std::uint8_t* block) {
  return (load_unaligned<std::uint16_t>(block) & 0x7f80u) != 0x7f80u;
}

}  // namespace

extern const Format bf16_format;
const Format bf16_format = {.name = "BF16",
                            .type_id = 30,
                            .block_elements = 1,
                            .block_bytes = 2,
                            .summary = "16-bit float with the range of binary32 (bfloat16)",
                            .decode = decode,
                            .encode = encode,
                            .is_finite = is_finite};

}  // namespace checkbit
