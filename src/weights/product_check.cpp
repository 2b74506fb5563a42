#include "weights/product_check.h"

#include <array>
#include <bit>

#include "base/float16.h"
#include "base/random.h"

namespace checkbit {
namespace {

std::vector<std::int32_t> odd_numbers(std::uint64_t seed, std::uint64_t stream, std::size_t count) {
  Random random(seed, stream);
  std::vector<std::int32_t> numbers(count);
  for (std::int32_t& n : numbers) n = static_cast<std::int32_t>(random.next() >> 32 | 1);
  return numbers;
}

/// The next coefficient of the polynomial over a row's scales, as a product reads them.
void add_scale_bits(float scale, bool half, std::uint32_t& hash) {
  if (half) {
    hash = hash * kCheckStep + float_to_half(scale);
    return;
  }
  const auto bits = std::bit_cast<std::uint32_t>(scale);
  hash = hash * kCheckStep + bits;
  hash = hash * kCheckStep + (bits >> 16);
}

/// Integers of a fixed ratio are in units of the minimum's scale.
std::uint32_t integer_units(const IntegerForm& form) {
  return form.min_ratio == 0 ? 1 : static_cast<std::uint32_t>(1 / form.min_ratio);
}

}  // namespace

CheckWeights::CheckWeights(std::uint64_t seed, std::int64_t panels)
    : seed_(seed),
      lanes_(odd_numbers(seed, 0, ProductCheck::kPeriod * kPanelRows)),
      factors_(odd_numbers(seed, 1, static_cast<std::size_t>(panels / ProductCheck::kPeriod + 1))) {
}

bool CheckWeights::restore() {
  auto lanes = odd_numbers(seed_, 0, lanes_.size());
  auto factors = odd_numbers(seed_, 1, factors_.size());
  const bool same = lanes == lanes_ && factors == factors_;
  lanes_.swap(lanes);
  factors_.swap(factors);
  return !same;
}

void ColumnSums::add(const ColumnSums& other) {
  constant += other.constant;
  for (std::size_t k = 0; k < columns.size(); ++k) {
    columns[k] = static_cast<std::int32_t>(static_cast<std::uint32_t>(columns[k]) +
                                           static_cast<std::uint32_t>(other.columns[k]));
  }
}

void add_row(const Kernels& kernels, const Format& format, const IntegerForm& form,
             std::span<const std::uint8_t> row, std::uint32_t u, ColumnSums& sums) {
  const int n = format.block_elements;
  const std::uint32_t units = integer_units(form);
  IntegerBlock block;
  std::array<std::uint32_t, 16> factors;
  std::array<std::uint32_t, 16> constants;
  std::uint32_t scale_bits = 0;
  for (std::size_t column = 0; column < sums.columns.size();
       column += static_cast<std::size_t>(n)) {
    format.unpack(row.data(), block);
    row = row.subspan(static_cast<std::size_t>(format.block_bytes));
    if (form.table != nullptr) {
      for (int i = 0; i < n; ++i) block.q[i] = form.table[block.q[i]];
    }
    for (int s = 0; s < n / form.sub_elements; ++s) {
      const int sub_scale = form.has_sub_scale ? block.sub_scale[s] : 1;
      factors[s] = u * static_cast<std::uint32_t>(sub_scale) * units;
      constants[s] = 0u - factors[s] * static_cast<std::uint32_t>(form.q_offset);
      if (!form.has_sub_min) continue;
      const std::uint32_t minimum = u * static_cast<std::uint32_t>(int{block.sub_min[s]});
      constants[s] += form.min_ratio == 0 ? minimum : 0u - minimum;
    }
    for (int g = 0; g < n / form.scale_elements; ++g) {
      add_scale_bits(block.scale[g], form.half_scales, scale_bits);
      if (stores_min_scales(form)) add_scale_bits(block.min_scale[g], form.half_scales, scale_bits);
    }
    kernels.add_column_sums({.q = block.q.data(),
                             .n = n,
                             .sub = form.sub_elements,
                             .factors = factors.data(),
                             .constants = constants.data(),
                             .columns = sums.columns.data() + column});
  }
  sums.constant += u * scale_bits;
}

void add_padding_row(const IntegerForm& form, std::uint32_t u, ColumnSums& sums) {
  if (form.has_sub_scale) return;
  const bool indexed = form.table != nullptr && form.bits < 8;
  const int weight = (indexed ? form.table[0] : 0) - form.q_offset;
  const std::uint32_t each = u * integer_units(form) * static_cast<std::uint32_t>(weight);
  for (std::int32_t& sum : sums.columns)
    sum = static_cast<std::int32_t>(static_cast<std::uint32_t>(sum) + each);
}

}  // namespace checkbit
