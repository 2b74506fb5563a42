// F32: IEEE binary32, little endian, one value per block.

#include <algorithm>
#include <cmath>

#include "base/bytes.h"
#include "formats/format.h"

namespace checkbit {
namespace {

void decode(const std::uint8_t* blocks, std::size_t n_blocks, float* out) {
  std::copy_n(blocks, n_blocks * sizeof(float), reinterpret_cast<std::uint8_t*>(out));
}

void encode(const float* in, std::size_t n_blocks, const float*, std::uint8_t* blocks) {
  std::copy_n(reinterpret_cast<const std::uint8_t*>(in), n_blocks * sizeof(float), blocks);
}

bool is_finite(const std::uint8_t* block) { return std::isfinite(load_unaligned<float>(block)); }

}  // namespace

extern const Format f32_format;
const Format f32_format = {
    .name = "F32", .type_id = 0, .block_elements = 1, .block_bytes = 4,
    .summary = "32-bit float", .decode = decode, .encode = encode, .is_finite = is_finite};

}  // namespace checkbit
