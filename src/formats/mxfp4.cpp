// MXFP4: 4-bit floats (E2M1) under one power of two per 32 weights, 4.25 bits per weight.
//
// w = 2^(exponent - 128) * (kE2m1Table[code] - 12): the table is doubled, the power halved.
// Reference: OCP Microscaling Formats (MX) Specification v1.0. There exponent 255 means NaN; the
// dequantizers in use take it as a number, and so do we, but is_finite refuses it.

#include <cmath>
#include <cstddef>
#include <limits>

#include "formats/bit_planes.h"
#include "formats/codebooks.h"
#include "formats/integer_form.h"
#include "formats/rounding.h"

namespace checkbit {

extern const Format mxfp4_format;

namespace {

struct Block {
  std::uint8_t exponent;
  std::array<std::uint8_t, 16> codes;  ///< byte i: code i low, code i + 16 high
};
static_assert(sizeof(Block) == 17);
static_assert(offsetof(Block, codes) == 1);

constexpr int kExponentBias = 128;  // of the halved power
constexpr int kNanExponent = 255;

void unpack(const std::uint8_t* bytes, IntegerBlock& out) {
  const auto block = load_unaligned<Block>(bytes);
  out.scale[0] = std::ldexp(1.0f, block.exponent - kExponentBias);
  unpack_planes<4, 16, 16>(block.codes.data(), out.q.data());
  set_unit_subs(out);
}

/// Also false when a value overflows, as it can for the three highest exponents.
bool is_finite(const std::uint8_t* block) {
  if (block[0] == kNanExponent) return false;
  std::array<float, 32> values;
  mxfp4_format.decode(block, 1, values.data());
  return std::ranges::all_of(values, [](float v) { return std::isfinite(v); });
}

constexpr int kLargestFiniteExponent = 252;  // 12 * 2^(252 - 128) is the last finite one

/// Code of the nearest value at a scale; never minus zero.
std::uint8_t nearest_code(float value, float scale) {
  constexpr std::array<float, 7> kBoundaries = {0.5f, 1.5f, 2.5f, 3.5f, 5.0f, 7.0f, 10.0f};
  const float size = std::fabs(value);
  int code = 0;
  for (const float boundary : kBoundaries) code += size > boundary * scale;
  return static_cast<std::uint8_t>(code != 0 && value < 0.0f ? code + 8 : code);
}

/// Codes in [32] at one exponent and returns their weighted squared error.
double round_at(const float* in, const float* weights, int exponent,
                std::array<std::uint8_t, 32>& codes) {
  const float scale = std::ldexp(1.0f, exponent - kExponentBias);
  double error = 0.0;
  for (std::size_t i = 0; i < 32; ++i) {
    codes[i] = nearest_code(in[i], scale);
    const double value = static_cast<double>(scale) * (kE2m1Table[codes[i]] - kE2m1Offset);
    error += weights[i] * (in[i] - value) * (in[i] - value);
  }
  return error;
}

/// Tries the exponent of the specification, which clips only the top quarter of its range, and its
/// neighbours: one up so that nothing is clipped, two down because clipping one weight may serve
/// the other 31.
void encode_block(const float* in, const float* weights, std::uint8_t* bytes) {
  float largest = 0.0f;
  for (std::size_t i = 0; i < 32; ++i) largest = std::max(largest, std::fabs(in[i]));
  Block block{.exponent = 0, .codes = {}};
  if (largest > 0.0f) {
    const int usual = std::ilogb(largest) - 2 + kExponentBias - 1;
    double best_error = std::numeric_limits<double>::infinity();
    for (int exponent = usual + 1; exponent >= usual - 2; --exponent) {
      const int stored = std::clamp(exponent, 0, kLargestFiniteExponent);
      std::array<std::uint8_t, 32> codes;
      const double error = round_at(in, weights, stored, codes);
      if (error >= best_error) continue;
      best_error = error;
      block.exponent = static_cast<std::uint8_t>(stored);
      pack_planes<4, 16, 16>(codes.data(), block.codes.data());
    }
  }
  store_unaligned(bytes, block);
}

/// Takes weights from prepare_block but not its values, whose range is cut to that of half scales.
void encode(const float* in, std::size_t n_blocks, const float* importance, std::uint8_t* blocks) {
  PreparedBlock prepared;
  for (std::size_t b = 0; b < n_blocks; ++b) {
    prepare_block(in + 32 * b, importance == nullptr ? nullptr : importance + 32 * b, 32, prepared);
    encode_block(in + 32 * b, prepared.w, blocks + b * sizeof(Block));
  }
}

}  // namespace

const Format mxfp4_format = {.name = "MXFP4",
                             .type_id = 39,
                             .block_elements = 32,
                             .block_bytes = sizeof(Block),
                             .summary = "4-bit floats, one power of two per 32",
                             .decode = decode_integer<mxfp4_format>,
                             .encode = encode,
                             .is_finite = is_finite,
                             .integer = {.bits = 4,
                                         .q_offset = kE2m1Offset,
                                         .table = kE2m1Table.data(),
                                         .scale_elements = 32,
                                         .sub_elements = 32,
                                         .activation_elements = 32},
                             .unpack = unpack};

}  // namespace checkbit
