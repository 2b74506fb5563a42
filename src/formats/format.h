// Number formats: how a block of weights is stored in few bits.
//
// What: one `Format` record per entry of formats.def, defined in one file each (formats/q4_k.cpp ...).
//   A tensor row of `columns` values is `columns / block_elements` consecutive blocks of
//   `block_bytes` bytes. Nothing outside this folder switches on a format: behaviour is a field.
// Decode is the reference: it is bit-exact to the `gguf` Python package's dequantizer.
// Integer form: what the matrix kernels consume. Every integer format is, for each weight i,
//       w[i] = scale[i / scale_elements] * sub_scale[i / sub_elements] * (q[i] - q_offset)
//              - min_scale[i / scale_elements] * sub_min[i / sub_elements]
//   with integers q (0 .. 2^bits - 1), sub_scale and sub_min, so that integer sums over a scale
//   group are exact on every machine (docs/numerics.md). Formats without sub-scales use 1.
//   With a `table`, q is an index and table[q] stands in its place. With a `window` of n codes, q is
//   made of the stored codes of n weights (formats/trellis.h).
// Threads: records are constant; all functions are pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace checkbit {

/// One block in integer form. Sizes are the largest any format needs (256 elements).
struct IntegerBlock {
  std::array<std::uint8_t, 256> q;         ///< [block_elements], already offset to be unsigned
  std::array<float, 16> scale;             ///< [block_elements / scale_elements]
  std::array<float, 16> min_scale;         ///< the same; unset unless has_min
  std::array<std::int16_t, 16> sub_scale;  ///< [block_elements / sub_elements]
  std::array<std::int16_t, 16> sub_min;    ///< the same; unset unless has_min
};

/// How IntegerBlock is laid out for one format. `bits` = 0 means: no integer form (float formats).
struct IntegerForm {
  int bits = 0;             ///< q < 2^bits, 1..8
  int q_offset = 0;         ///< subtracted from q (or from table[q])
  const std::uint8_t* table = nullptr;  ///< 2^bits values for bits = 4 and 6, or null: the value is q
  int window = 1;         ///< codes that make a q; bits / window of its bits are stored for a weight
  int scale_elements = 0;   ///< weights under one float scale; divides block_elements, multiple of 16
  int sub_elements = 0;     ///< weights under one integer sub-scale (16 or 32, or = scale_elements)
  bool has_sub_scale = false;  ///< false: all sub_scale are 1
  bool has_min = false;        ///< false: min_scale and sub_min are unused
  bool has_sub_min = false;    ///< false with has_min: all sub_min are 1
  float min_ratio = 0;  ///< not zero: min_scale = scale * min_ratio always, exactly
  bool half_scales = false;    ///< every scale and min_scale is exactly a binary16 value
  int activation_elements = 0;  ///< activations under one scale, a multiple of scale_elements: 32 for
                                ///< blocks up to 64 weights, else the block
};

struct Format {
  std::string_view name;           ///< as in GGUF and the CLI: "Q4_K"
  std::uint32_t type_id = 0;       ///< GGUF tensor type, or kOwnFormatBase + n for our own (never in a file)
  int block_elements = 1;
  int block_bytes = 0;
  std::string_view summary;        ///< one line for docs and `checkbit quantize --list`

  /// blocks [n_blocks * block_bytes] -> out [n_blocks * block_elements]. Any bytes are accepted.
  void (*decode)(const std::uint8_t* blocks, std::size_t n_blocks, float* out) = nullptr;
  /// in [n_blocks * block_elements] -> blocks. `importance` is null or one weight >= 0 per input
  /// value. Null when the format cannot be encoded. Precondition: all inputs finite.
  void (*encode)(const float* in, std::size_t n_blocks, const float* importance,
                 std::uint8_t* blocks) = nullptr;
  /// False when a scale of the block is NaN or infinite.
  bool (*is_finite)(const std::uint8_t* block) = nullptr;

  IntegerForm integer;
  /// Null when integer.bits == 0.
  void (*unpack)(const std::uint8_t* block, IntegerBlock& out) = nullptr;

  bool ternary = false;            ///< refused for ordinary models without --force
  bool own = false;                ///< ours: stored in GGUF as I8 rows plus checkbit.tensor.* metadata

  double bits_per_weight() const { return 8.0 * block_bytes / block_elements; }
};

/// Type ids at and above this are ours. They never stand in a file's tensor table.
inline constexpr std::uint32_t kOwnFormatBase = 0x43420000;  // "CB"

/// All formats in formats.def order.
std::span<const Format* const> all_formats();
/// Null when unknown. Names compare without regard to case.
const Format* find_format(std::string_view name);
const Format* find_format(std::uint32_t type_id);

}  // namespace checkbit
