#include "protect/bit_draw.h"

#include <cmath>

#include "base/result.h"

namespace checkbit {

std::vector<std::uint64_t> draw_bits(double rate, std::uint64_t total, Random& random) {
  CB_CHECK(rate > 0 && rate < 1);
  std::vector<std::uint64_t> bits;
  const double scale = 1 / std::log1p(-rate);
  for (std::uint64_t bit = 0; bit < total; ++bit) {
    const double gap = std::floor(std::log(1 - random.uniform()) * scale);
    if (gap >= static_cast<double>(total - bit)) break;
    bit += static_cast<std::uint64_t>(gap);
    bits.push_back(bit);
  }
  return bits;
}

}  // namespace checkbit
