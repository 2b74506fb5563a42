#include "quantize/rounding/chunk_rounder.h"

#include <algorithm>
#include <cstring>

#include "quantize/rounding/chunk_lanes.h"
#include "quantize/rounding/inner_feedback.h"

namespace checkbit {
namespace {

constexpr std::int64_t kSolve = 32;  ///< positions that a triangular solve takes at a time

/// unit^T y = z from the last position to the first, in place: z[i] -= sum over j > i.
void solve_upper(MatrixSpan unit, std::int64_t n, float* z) {
  for (std::int64_t end = n; end > 0; end -= std::min(kSolve, end)) {
    const std::int64_t begin = std::max<std::int64_t>(0, end - kSolve);
    add_products({unit.data + end * unit.stride + begin, unit.stride},
                 {z + end * kRowChunk, kRowChunk}, n - end, z + begin * kRowChunk, kRowChunk,
                 end - begin, kRowChunk, true);
    for (std::int64_t p = end - 1; p >= begin; --p) {
      for (std::int64_t i = begin; i < p; ++i) {
        add_scaled_rows(-unit.data[p * unit.stride + i], z + p * kRowChunk, z + i * kRowChunk);
      }
    }
  }
}

/// unit z = b from the first position to the last, in place.
void solve_lower(MatrixSpan unit, std::int64_t n, float* b, std::vector<float>& turned) {
  for (std::int64_t begin = 0; begin < n; begin += kSolve) {
    const std::int64_t count = std::min(kSolve, n - begin);
    turned.resize(static_cast<std::size_t>(std::max<std::int64_t>(begin, 1) * kSolve));
    for (std::int64_t i = 0; i < count; ++i) {
      const float* row = unit.data + (begin + i) * unit.stride;
      for (std::int64_t j = 0; j < begin; ++j)
        turned[static_cast<std::size_t>(j * kSolve + i)] = row[j];
    }
    add_products({turned.data(), kSolve}, {b, kRowChunk}, begin, b + begin * kRowChunk, kRowChunk,
                 count, kRowChunk, true);
    for (std::int64_t i = begin; i < begin + count; ++i) {
      const float* row = unit.data + i * unit.stride;
      for (std::int64_t j = begin; j < i; ++j) {
        add_scaled_rows(-row[j], b + j * kRowChunk, b + i * kRowChunk);
      }
    }
  }
}

/// H y = b with H = unit D unit^T, in place.
void solve(const Factor& factor, float* b, std::vector<float>& turned) {
  const MatrixSpan unit = {factor.unit.data(), factor.n};
  solve_lower(unit, factor.n, b, turned);
  for (std::int64_t i = 0; i < factor.n; ++i) {
    const float inverse = 1 / factor.weight[static_cast<std::size_t>(i)];
    for (int r = 0; r < kRowChunk; ++r) b[i * kRowChunk + r] *= inverse;
  }
  solve_upper(unit, factor.n, b);
}

}  // namespace

Result<LocalFactors> local_factors(const Metric& metric, int elements, ThreadPool& pool) {
  LocalFactors local{.elements = elements, .blocks = {}};
  const std::int64_t n = metric.size();
  for (std::int64_t first = 0; first < n; first += elements) {
    std::vector<float> block(static_cast<std::size_t>(elements * elements));
    for (std::int64_t i = 0; i < elements; ++i) {
      std::copy_n(metric.moments.data() + (first + i) * n + first, elements,
                  block.data() + i * elements);
    }
    if (!factorize(std::move(block), elements, pool, local.blocks.emplace_back())) {
      return fail(ErrorKind::corrupt,
                  "the second moments of columns {} to {} in their order have no factor", first,
                  first + elements);
    }
  }
  return local;
}

ChunkRounder::ChunkRounder(const Format& format, const Metric& metric)
    : metric_(metric),
      elements_(coder_elements(format)),
      block_bytes_(static_cast<std::size_t>(elements_ / format.block_elements) *
                   static_cast<std::size_t>(format.block_bytes)),
      coder_(BlockCoder::create(format, elements_)),
      error_(static_cast<std::size_t>(metric.size()) * kRowChunk),
      blocks_(static_cast<std::size_t>(metric.size() / elements_) * kRowChunk * block_bytes_),
      center_(static_cast<std::size_t>(elements_) * kRowChunk),
      values_(center_) {}

std::uint8_t* ChunkRounder::blocks_at(std::int64_t first) {
  return blocks_.data() + static_cast<std::size_t>(first / elements_) * kRowChunk * block_bytes_;
}

/// Elements of the stored block that stands at positions [first, first + elements).
std::span<const int> ChunkRounder::order_of(std::int64_t first) {
  const auto columns =
      std::span(metric_.order)
          .subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(elements_));
  const int begin = columns[0] / elements_ * elements_;
  order_.clear();
  for (const int column : columns) order_.push_back(column - begin);
  return order_;
}

void ChunkRounder::feed_back(const float* target, int rows) {
  const Factor& factor = metric_.factor;
  float loss[kRowChunk];
  std::fill(error_.begin(), error_.end(), 0.0f);
  for (std::int64_t first = n() - elements_; first >= 0; first -= elements_) {
    const BlockMetric local = {.elements = elements_,
                               .unit = {factor.unit.data() + first * n() + first, n()},
                               .weight = factor.weight.data() + first,
                               .order = order_of(first)};
    const float* wish = target + first * kRowChunk;
    const std::int64_t after = first + elements_;
    asked_.assign(wish, wish + elements_ * kRowChunk);
    add_products({factor.unit.data() + after * n() + first, n()}, {error_at(after), kRowChunk},
                 n() - after, asked_.data(), kRowChunk, elements_, kRowChunk);
    InnerFeedback free(local, asked_.data(), wish);
    for_positions(local, free, [&](int p) {
      std::copy_n(free.wanted(p), kRowChunk, center_.data() + p * kRowChunk);
      free.settle(p, center_.data() + p * kRowChunk);
    });
    coder_->round(local, center_.data(), rows, blocks_at(first), values_.data(), loss);
    for (int i = 0; i < elements_ * kRowChunk; ++i)
      error_at(first)[i] = wish[i] - values_[static_cast<std::size_t>(i)];
  }
}

/// The block's best place, all other errors being what they are -> center_.
void ChunkRounder::best_place(const Factor& local, const float* target, std::int64_t first,
                              int rows) {
  static_cast<void>(rows);
  const std::int64_t after = first + elements_;
  const float* moments = metric_.moments.data();
  asked_.assign(static_cast<std::size_t>(elements_) * kRowChunk, 0.0f);
  add_products({moments + first, n()}, {error_.data(), kRowChunk}, first, asked_.data(), kRowChunk,
               elements_, kRowChunk);
  add_products({moments + after * n() + first, n()}, {error_at(after), kRowChunk}, n() - after,
               asked_.data(), kRowChunk, elements_, kRowChunk);
  solve(local, asked_.data(), turned_);
  for (std::size_t i = 0; i < asked_.size(); ++i)
    center_[i] = target[first * kRowChunk + static_cast<std::int64_t>(i)] + asked_[i];
}

int ChunkRounder::descend(const LocalFactors& local, const float* target, int rows) {
  int better = 0;
  float loss[kRowChunk], before[kRowChunk];
  std::vector<float> current(static_cast<std::size_t>(elements_) * kRowChunk);
  std::vector<std::uint8_t> blocks(kRowChunk * block_bytes_);
  for (std::int64_t first = n() - elements_; first >= 0; first -= elements_) {
    const Factor& factor = local.blocks[static_cast<std::size_t>(first / elements_)];
    const BlockMetric metric = {.elements = elements_,
                                .unit = {factor.unit.data(), elements_},
                                .weight = factor.weight.data(),
                                .order = order_of(first)};
    const float* wish = target + first * kRowChunk;
    for (std::size_t i = 0; i < current.size(); ++i) current[i] = wish[i] - error_at(first)[i];
    best_place(factor, target, first, rows);
    metric_loss(metric, center_.data(), current.data(), before);
    coder_->round(metric, center_.data(), rows, blocks.data(), values_.data(), loss);
    for (int r = 0; r < rows; ++r) {
      constexpr float kWorthwhile = 0.9999f;  // less is what sums of floats differ by
      if (!(loss[r] < kWorthwhile * before[r])) continue;
      ++better;
      const auto at = static_cast<std::size_t>(r) * block_bytes_;
      std::memcpy(blocks_at(first) + at, blocks.data() + at, block_bytes_);
      for (int p = 0; p < elements_; ++p) {
        const int i = p * kRowChunk + r;
        error_at(first)[i] = wish[i] - values_[static_cast<std::size_t>(i)];
      }
    }
  }
  return better;
}

void ChunkRounder::write_row(int row, std::uint8_t* out) const {
  for (std::int64_t first = 0; first < n(); first += elements_) {
    const auto block =
        static_cast<std::size_t>(metric_.order[static_cast<std::size_t>(first)] / elements_);
    const std::size_t at =
        (static_cast<std::size_t>(first / elements_) * kRowChunk + static_cast<std::size_t>(row)) *
        block_bytes_;
    std::memcpy(out + block * block_bytes_, blocks_.data() + at, block_bytes_);
  }
}

void compensate(const Metric& metric, const std::vector<float>& drift, float strength,
                float* target) {
  const std::int64_t n = metric.size();
  const auto floats = static_cast<std::size_t>(n) * kRowChunk;
  std::vector<float> by_column(floats), pull(floats, 0.0f), turned;
  for (std::int64_t p = 0; p < n; ++p) {
    std::copy_n(target + p * kRowChunk, kRowChunk,
                by_column.data() + metric.order[static_cast<std::size_t>(p)] * kRowChunk);
  }
  add_products({drift.data(), n}, {by_column.data(), kRowChunk}, n, pull.data(), kRowChunk, n,
               kRowChunk);
  std::vector<float> in_order(floats);
  for (std::int64_t p = 0; p < n; ++p) {
    std::copy_n(pull.data() + metric.order[static_cast<std::size_t>(p)] * kRowChunk, kRowChunk,
                in_order.data() + p * kRowChunk);
  }
  solve(metric.factor, in_order.data(), turned);
  for (std::size_t i = 0; i < floats; ++i) target[i] += strength * in_order[i];
}

}  // namespace checkbit
