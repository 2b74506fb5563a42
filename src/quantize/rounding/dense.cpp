#include "quantize/rounding/dense.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

namespace checkbit {
namespace {

constexpr std::int64_t kTileRows = 6;
constexpr std::int64_t kTileColumns = 16;
constexpr std::int64_t kDepth = 256;      ///< of what is packed at a time
constexpr std::int64_t kStrips = 16;      ///< of kTileColumns that are packed at a time
constexpr std::int64_t kPanel = 64;       ///< columns that the factorization takes at a time
constexpr std::int64_t kMomentRows = 96;  ///< rows of C that a thread takes at a time

// A typedef: in an alias clang 14 forgets the alignment.
typedef float Wide __attribute__((vector_size(32), aligned(4), may_alias));
inline Wide* wide(float* at) { return reinterpret_cast<Wide*>(at); }
inline const Wide* wide(const float* at) { return reinterpret_cast<const Wide*>(at); }

#define CHECKBIT_TILE_TARGET
#define CHECKBIT_TILE_NAME tile_any
#include "quantize/rounding/product_tile_body.h"
#undef CHECKBIT_TILE_TARGET
#undef CHECKBIT_TILE_NAME

using Tile = void (*)(const float*, const float*, std::int64_t, float*);

#if defined(__x86_64__)
#define CHECKBIT_TILE_TARGET __attribute__((target("avx2")))
#define CHECKBIT_TILE_NAME tile_avx2
#include "quantize/rounding/product_tile_body.h"
#undef CHECKBIT_TILE_TARGET
#undef CHECKBIT_TILE_NAME
Tile best_tile() { return __builtin_cpu_supports("avx2") ? tile_avx2 : tile_any; }
#else
Tile best_tile() { return tile_any; }
#endif

/// Columns [first, first + count) of `from` as strips of kWidth: [strip][depth][kWidth], padded.
template <std::int64_t kWidth>
void pack(MatrixSpan from, std::int64_t depth, std::int64_t first, std::int64_t count, float sign,
          float* to) {
  for (std::int64_t s = 0; s < count; s += kWidth) {
    const std::int64_t width = std::min(kWidth, count - s);
    for (std::int64_t k = 0; k < depth; ++k, to += kWidth) {
      const float* row = from.data + k * from.stride + first + s;
      for (std::int64_t i = 0; i < width; ++i) to[i] = sign * row[i];
      for (std::int64_t i = width; i < kWidth; ++i) to[i] = 0;
    }
  }
}

/// The tile at c, which may reach over the edge of the matrix.
void add_tile(Tile tile, const float* a, const float* b, std::int64_t depth, float* c,
              std::int64_t stride, std::int64_t rows, std::int64_t columns) {
  alignas(32) float sums[kTileRows * kTileColumns] = {};
  const auto bytes = static_cast<std::size_t>(columns) * sizeof(float);
  for (std::int64_t i = 0; i < rows; ++i)
    std::memcpy(sums + i * kTileColumns, c + i * stride, bytes);
  tile(a, b, depth, sums);
  for (std::int64_t i = 0; i < rows; ++i)
    std::memcpy(c + i * stride, sums + i * kTileColumns, bytes);
}

/// The factor of one diagonal block, in place; false when a pivot is not positive.
bool factorize_block(float* block, std::int64_t stride, std::int64_t size) {
  for (std::int64_t j = 0; j < size; ++j) {
    double pivot = block[j * stride + j];
    for (std::int64_t k = 0; k < j; ++k)
      pivot -= double{block[j * stride + k]} * double{block[j * stride + k]};
    if (!(pivot > 0)) return false;
    const double root = std::sqrt(pivot);
    block[j * stride + j] = static_cast<float>(root);
    for (std::int64_t i = j + 1; i < size; ++i) {
      double sum = block[i * stride + j];
      for (std::int64_t k = 0; k < j; ++k)
        sum -= double{block[i * stride + k]} * double{block[j * stride + k]};
      block[i * stride + j] = static_cast<float>(sum / root);
    }
  }
  return true;
}

/// Rows [begin, end) below a factored block: solved, and written to `panel` [size][width] turned.
void solve_panel(const float* block, float* rows, std::int64_t stride, std::int64_t size,
                 std::int64_t begin, std::int64_t end, float* panel, std::int64_t width) {
  for (std::int64_t i = begin; i < end; ++i) {
    for (std::int64_t k = 0; k < size; ++k) panel[k * width + i] = rows[i * stride + k];
  }
  for (std::int64_t k = 0; k < size; ++k) {
    float* solved = panel + k * width;
    for (std::int64_t j = 0; j < k; ++j) {
      const float factor = block[k * stride + j];
      const float* known = panel + j * width;
      std::int64_t i = begin;
      for (; i + 8 <= end; i += 8) *wide(solved + i) -= factor * *wide(known + i);
      for (; i < end; ++i) solved[i] -= factor * known[i];
    }
    const float inverse = 1 / block[k * stride + k];
    for (std::int64_t i = begin; i < end; ++i) solved[i] *= inverse;
  }
  for (std::int64_t i = begin; i < end; ++i) {
    for (std::int64_t k = 0; k < size; ++k) rows[i * stride + k] = panel[k * width + i];
  }
}

/// The lower triangle of C [n, n] += or -= X^T X, dealt over threads by bands of rows.
void add_triangle(MatrixSpan x, std::int64_t depth, float* c, std::int64_t stride, std::int64_t n,
                  bool subtract, ThreadPool& pool) {
  const std::int64_t bands = (n + kMomentRows - 1) / kMomentRows;
  std::atomic<std::int64_t> next{0};
  pool.run([&](int, int) {
    for (std::int64_t taken = next++; taken < bands; taken = next++) {
      const std::int64_t begin = (bands - 1 - taken) * kMomentRows;  // the long ones first
      const std::int64_t rows = std::min(kMomentRows, n - begin);
      add_products({x.data + begin, x.stride}, x, depth, c + begin * stride, stride, rows,
                   begin + rows, subtract);
    }
  });
}

}  // namespace

void add_products(MatrixSpan a, MatrixSpan b, std::int64_t depth, float* c, std::int64_t c_stride,
                  std::int64_t rows, std::int64_t columns, bool subtract) {
  static const Tile tile = best_tile();
  constexpr std::int64_t kBand = kStrips * kTileColumns;
  thread_local std::vector<float> packed_a, packed_b;
  packed_b.resize(static_cast<std::size_t>(kDepth * kBand));
  const std::int64_t tiles = (rows + kTileRows - 1) / kTileRows;
  packed_a.resize(static_cast<std::size_t>(tiles * kTileRows * kDepth));
  for (std::int64_t k = 0; k < depth; k += kDepth) {
    const std::int64_t deep = std::min(kDepth, depth - k);
    pack<kTileRows>({a.data + k * a.stride, a.stride}, deep, 0, rows, subtract ? -1.0f : 1.0f,
                    packed_a.data());
    for (std::int64_t band = 0; band < columns; band += kBand) {
      const std::int64_t wide_columns = std::min(kBand, columns - band);
      pack<kTileColumns>({b.data + k * b.stride, b.stride}, deep, band, wide_columns, 1,
                         packed_b.data());
      for (std::int64_t t = 0; t < tiles; ++t) {
        const std::int64_t row = t * kTileRows;
        for (std::int64_t s = 0; s < wide_columns; s += kTileColumns) {
          add_tile(tile, packed_a.data() + row * deep, packed_b.data() + s * deep, deep,
                   c + row * c_stride + band + s, c_stride, std::min(kTileRows, rows - row),
                   std::min(kTileColumns, wide_columns - s));
        }
      }
    }
  }
}

void add_moments(MatrixSpan x, std::int64_t depth, float* c, std::int64_t n, ThreadPool& pool) {
  add_triangle(x, depth, c, n, n, false, pool);
}

bool factorize(std::vector<float> lower, std::int64_t n, ThreadPool& pool, Factor& factor) {
  std::vector<float> panel;
  for (std::int64_t at = 0; at < n; at += kPanel) {
    const std::int64_t size = std::min(kPanel, n - at);
    float* block = lower.data() + at * n + at;
    if (!factorize_block(block, n, size)) return false;
    const std::int64_t rest = n - at - size;
    if (rest == 0) break;
    panel.resize(static_cast<std::size_t>(size * rest));
    float* below = block + size * n;
    pool.for_ranges(rest, [&](std::int64_t begin, std::int64_t end) {
      solve_panel(block, below, n, size, begin, end, panel.data(), rest);
    });
    add_triangle({panel.data(), rest}, size, below + size, n, rest, true, pool);
  }
  factor.n = n;
  factor.weight.resize(static_cast<std::size_t>(n));
  std::vector<float> inverse(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) {
    const float diagonal = lower[static_cast<std::size_t>(i * n + i)];
    factor.weight[static_cast<std::size_t>(i)] = diagonal * diagonal;
    inverse[static_cast<std::size_t>(i)] = 1 / diagonal;
  }
  for (std::int64_t i = 0; i < n; ++i) {
    float* row = lower.data() + i * n;
    for (std::int64_t j = 0; j < i; ++j) row[j] *= inverse[static_cast<std::size_t>(j)];
    row[i] = 1;
  }
  factor.unit = std::move(lower);
  return true;
}

}  // namespace checkbit
