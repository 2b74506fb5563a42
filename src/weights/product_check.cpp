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

/// Pairs of (4 i + 1) k modulo 2^16 for a secret odd k: 2^14 numbers, none the opposite of another.
std::vector<std::int32_t> draw_scale_pairs(std::uint64_t seed, std::int64_t columns) {
  constexpr std::int64_t kLeastColumns = 16;  // of a scale, with its minimum's scale 32
  Random random(seed, 2);
  const auto k = static_cast<std::uint32_t>(random.next() | 1);
  std::vector<std::int32_t> pairs(static_cast<std::size_t>(columns / kLeastColumns));
  std::uint32_t number = 1;
  for (std::int32_t& pair : pairs) {
    const std::uint32_t low = number * k & 0xffff;
    const std::uint32_t high = (number + 4) * k & 0xffff;
    pair = static_cast<std::int32_t>(high << 16 | low);
    number += 8;
  }
  return pairs;
}

/// The halves of two numbers of 32 bits, each as a number with a sign.
std::int16_t low_half(std::uint32_t bits) { return static_cast<std::int16_t>(bits & 0xffff); }
std::int16_t high_half(std::uint32_t bits) { return static_cast<std::int16_t>(bits >> 16); }

/// The bits of one scale as a product reads them, times their factors.
std::uint32_t scale_number(float scale, bool half, const CheckedRow& at, std::size_t pair) {
  const auto factors = static_cast<std::uint32_t>(at.weights.scale_factors(pair));
  if (half) {
    const int factor = at.lane % 2 == 0 ? low_half(factors) : high_half(factors);
    return static_cast<std::uint32_t>(factor * low_half(float_to_half(scale)));
  }
  const auto bits = std::bit_cast<std::uint32_t>(scale);
  return static_cast<std::uint32_t>(low_half(factors) * low_half(bits)) +
         static_cast<std::uint32_t>(high_half(factors) * high_half(bits));
}

/// Integers of a fixed ratio are in units of the minimum's scale.
std::uint32_t integer_units(const IntegerForm& form) {
  return form.min_ratio == 0 ? 1 : static_cast<std::uint32_t>(1 / form.min_ratio);
}

}  // namespace

CheckWeights::CheckWeights(std::uint64_t seed, std::int64_t panels, std::int64_t columns)
    : seed_(seed),
      columns_(columns),
      lanes_(odd_numbers(seed, 0, ProductCheck::kPeriod * kPanelRows)),
      factors_(odd_numbers(seed, 1, static_cast<std::size_t>(panels / ProductCheck::kPeriod + 1))),
      scale_factors_(draw_scale_pairs(seed, columns)) {}

bool CheckWeights::restore() {
  auto lanes = odd_numbers(seed_, 0, lanes_.size());
  auto factors = odd_numbers(seed_, 1, factors_.size());
  auto pairs = draw_scale_pairs(seed_, columns_);
  const bool same = lanes == lanes_ && factors == factors_ && pairs == scale_factors_;
  lanes_.swap(lanes);
  factors_.swap(factors);
  scale_factors_.swap(pairs);
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
             std::span<const std::uint8_t> row, const CheckedRow& at, ColumnSums& sums) {
  const int n = format.block_elements;
  const std::uint32_t u = at.weights.of(at.panel, at.lane);
  const std::uint32_t units = integer_units(form);
  IntegerBlock block;
  std::array<std::uint32_t, 16> factors;
  std::array<std::uint32_t, 16> constants;
  std::uint32_t scale_bits = 0;
  std::size_t pair = 0;
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
      scale_bits += scale_number(block.scale[g], form.half_scales, at, pair++);
      if (stores_min_scales(form))
        scale_bits += scale_number(block.min_scale[g], form.half_scales, at, pair++);
    }
    kernels.add_column_sums({.q = block.q.data(),
                             .n = n,
                             .sub = form.sub_elements,
                             .factors = factors.data(),
                             .constants = constants.data(),
                             .columns = sums.columns.data() + column});
  }
  const std::uint32_t v = at.weights.of(at.panel, form.half_scales ? at.lane / 2 : at.lane);
  sums.constant += v * kCheckStep * scale_bits;
}

void add_padding_row(const IntegerForm& form, const CheckedRow& at, ColumnSums& sums) {
  if (form.has_sub_scale) return;
  const bool indexed = form.table != nullptr && form.bits < 8;
  const int weight = (indexed ? form.table[0] : 0) - form.q_offset;
  const std::uint32_t u = at.weights.of(at.panel, at.lane);
  const std::uint32_t each = u * integer_units(form) * static_cast<std::uint32_t>(weight);
  for (std::int32_t& sum : sums.columns)
    sum = static_cast<std::int32_t>(static_cast<std::uint32_t>(sum) + each);
}

}  // namespace checkbit
