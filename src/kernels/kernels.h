// The table of kernels for one instruction set, and their contracts.
//
// Every kernel gives the same bits on every instruction set; the rules are docs/numerics.md.
// Preconditions common to all: pointers need no alignment; finite inputs give defined results; the
// rounding mode is to nearest (base/float_environment.h sets it at API entry).
// Threads: kernels are pure functions of their arguments.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.h"
#include "kernels/activations.h"
#include "kernels/cache_layout.h"
#include "kernels/isa.h"
#include "kernels/panel_layout.h"
#include "kernels/product_lines.h"

namespace checkbit {

/// What a product sums up for its check, docs/guard.md ("Exact checks"): per token and lane, the
/// sum over panels of weight * (integers of all groups + bits of the scales), wrapping at 32 bits.
/// Bits of scales are numbers of 16 bits, two in a lane, each times a factor of its own
/// (CheckWeights in weights/product_check.h), their sum times kCheckStep.
struct ProductCheck {
  static constexpr std::int64_t kPeriod = 64;  ///< panels until the weights of lanes repeat
  const std::int32_t* lane_weights = nullptr;  ///< [kPeriod][16], odd
  const std::int32_t* factors = nullptr;       ///< odd, one per kPeriod panels
  /// Pairs of odd 16-bit numbers, low half first: one for the scales of each scale group and one
  /// for its minimums' scales, as stored.
  const std::int32_t* scale_factors = nullptr;
  std::int64_t panel = 0;        ///< of the first panel, in the check's own count
  std::int32_t* sums = nullptr;  ///< [n_tokens][16], added to; null: nothing is checked
};
/// Groups of one row under one activation scale differ by this factor where a token is alone, and
/// scales from integers always. 5 modulo 8, so no two flips of one bit cancel.
inline constexpr std::uint32_t kCheckStep = 0x9e3779b5u;

/// y[t][16 p + lane] = sum over columns of W[row][column] x[t][column] for panels p.
struct ProductArguments {
  const std::uint8_t* panels = nullptr;  ///< first panel, layout of panel_layout.h
  std::size_t panel_bytes = 0;
  std::int64_t n_panels = 0;
  std::int64_t columns = 0;             ///< a multiple of the record's columns
  const std::uint8_t* table = nullptr;  ///< 16 bytes, 64 with windows, or null
  int q_offset = 0;                     ///< the form's; x.starts holds it too
  QuantizedActivations x;               ///< of activation_form(the matrix's form)
  std::int64_t n_tokens = 0;
  float* y = nullptr;               ///< [n_tokens][y_stride], first panel's first row
  std::int64_t y_stride = 0;        ///< floats; whole panels are written
  std::uint8_t* scratch = nullptr;  ///< product_scratch_bytes(columns), of the calling thread
  ProductCheck check;
};
/// The same from a panel on.
inline ProductArguments panels_from(ProductArguments a, std::int64_t panel) {
  a.panels += static_cast<std::int64_t>(a.panel_bytes) * panel;
  a.n_panels -= panel;
  a.y += kPanelRows * panel;
  a.check.panel += panel;
  return a;
}
/// Room for one panel unpacked to bytes, once for all blocks of kWidestBlock tokens.
constexpr std::size_t product_scratch_bytes(std::int64_t columns) {
  return static_cast<std::size_t>(columns) * kPanelRows;
}
using ProductKernel = void (*)(const ProductArguments&);

/// One token's activations against the column sums of a check.
struct CheckSumArguments {
  const std::int8_t* q = nullptr;         ///< of the token's block
  const std::int32_t* columns = nullptr;  ///< [n]: sum over rows of weight * integer weight
  std::int64_t n = 0;
  int group = 0;  ///< columns under one activation scale
  int width = 1;  ///< of the block
  int lane = 0;
};

/// columns[k] += factors[k / sub] * q[k] + constants[k / sub], wrapping at 32 bits.
struct ColumnSumArguments {
  const std::uint8_t* q = nullptr;
  std::int64_t n = 0;
  int sub = 0;  ///< a multiple of 16
  const std::uint32_t* factors = nullptr;
  const std::uint32_t* constants = nullptr;
  std::int32_t* columns = nullptr;
};

enum class FloatStorage { f32, f16, bf16 };

/// The same with float weights and float activations: panel[column][16 rows].
struct FloatProductArguments {
  FloatStorage storage = FloatStorage::f32;
  const std::uint8_t* panels = nullptr;
  std::size_t panel_bytes = 0;
  std::int64_t n_panels = 0;
  std::int64_t columns = 0;
  const float* x = nullptr;  ///< [n_tokens][x_stride]
  std::int64_t x_stride = 0;
  std::int64_t n_tokens = 0;
  float* y = nullptr;
  std::int64_t y_stride = 0;
};

/// One query head of one token, and the positions it sees (both inclusive).
struct AttentionRow {
  const float* query = nullptr;  ///< [head_size]
  float* out = nullptr;          ///< [value_size]
  std::int64_t first = 0;
  std::int64_t last = 0;
};
inline constexpr int kAttentionRows = 8;

/// Attention sums are closed every so many positions, so that they can be split over threads.
inline constexpr std::int64_t kAttentionBlock = 256;

/// Floats of one row's sums over a block: 16 lane sums of probabilities, then the weighted values.
constexpr std::int64_t attention_sum_floats(std::int64_t value_size) { return 16 + value_size; }

/// Room, in floats, for the queries of all rows in the order of use: as they are, or in 16 bits
/// with their scales.
constexpr std::int64_t attention_query_floats(std::int64_t head_size) {
  return kAttentionRows * kCacheGroup * cache_groups(head_size);
}

/// A few rows against the cached keys and values of one key-value head (layout: cache_layout.h).
/// `attend` does all; for few rows and many positions the same bits come from its parts, over
/// threads: attend_scores over any split of the span, attend_block once per kAttentionBlock
/// absolute positions with each row's largest peak, attend_combine over the blocks' sums in order.
struct AttentionArguments {
  CacheType cache_type = CacheType::f16;
  const AttentionRow* rows = nullptr;  ///< [n_rows]
  int n_rows = 0;                      ///< 1..kAttentionRows
  std::int64_t head_size = 0;
  std::int64_t value_size = 0;  ///< a multiple of 16
  const void* keys = nullptr;
  const void* values = nullptr;
  float scale = 1;                 ///< applied to scores
  float softcap = 0;               ///< cap * tanh(score / cap) when above zero
  float* scores = nullptr;         ///< scratch [n_rows][score_stride]
  std::int64_t score_stride = 0;   ///< >= the span's end
  float* query_scratch = nullptr;  ///< [attention_query_floats(head_size)], of the calling thread
  float* sum_scratch =
      nullptr;  ///< [2 * kAttentionRows * attention_sum_floats(value_size)], of the calling thread
};

/// Positions that any row sees, in whole vectors of 16.
struct AttentionSpan {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};
constexpr AttentionSpan attention_span(const AttentionArguments& a) {
  std::int64_t first = a.rows[0].first;
  std::int64_t last = a.rows[0].last;
  for (int r = 1; r < a.n_rows; ++r) {
    first = a.rows[r].first < first ? a.rows[r].first : first;
    last = a.rows[r].last > last ? a.rows[r].last : last;
  }
  return {first / 16 * 16, (last / 16 + 1) * 16};
}

/// Writes the key and value of one token and one head into the cache at a position.
struct KeyValueStore {
  CacheType cache_type = CacheType::f16;
  const float* key = nullptr;    ///< [head_size]
  const float* value = nullptr;  ///< [value_size]
  std::int64_t head_size = 0;
  std::int64_t value_size = 0;
  std::int64_t position = 0;
  void* keys = nullptr;  ///< the head's
  void* values = nullptr;
};

struct Kernels {
  Isa isa = Isa::scalar;
  ProductKernel products[static_cast<int>(ProductKind::count)] = {};
#define CHECKBIT_KERNEL(result, name, parameters) result(*name) parameters = nullptr;
#include "kernels/kernels.def"
#undef CHECKBIT_KERNEL
};

/// Precondition: machine_has(isa).
const Kernels& kernels_for(Isa isa);

struct ProductChoice {
  ProductKind kind;
  IntegerForm form;  ///< as packed: bits may be 8 and scales float where the format's are smaller
  bool widened = false;  ///< true: the generic 8-bit line stands in for a missing one
  std::string_view name;
};
/// The product line for an integer form; not_found when there is none (float products then serve).
Result<ProductChoice> find_product(const IntegerForm& form);

}  // namespace checkbit
