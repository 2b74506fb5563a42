// What CT2 and CT3 share: codes whose values depend on their neighbours' codes (a trellis).
//
// What: of every 32 weights each stores a code of few bits, but takes its value from a table of 64
//   by a window over its own code and those of the weights before it:
//       q[t] = code[t] in the highest bits, code[t - 1] below, ...    (kWindow codes, 6 bits)
//       w[t] = d * (table[q[t]] - 128)
//   So a weight has 64 levels for the price of 4 or 8, and the encoder finds the path of least
//   error through all of them (Viterbi). On normally distributed weights the squared error is .084
//   at 2 bits and .0235 at 3, where the best levels for single weights leave .1175 and .0345.
// Order: t = 8 * (i % 4) + i / 4 for weight i of the 32, a circle: before t = 0 stands t = 31. The
//   products' slices of 4 columns are then neighbours bit by bit (kernels/panel_layout.h).
// The scale d: one byte, a binary16 without its sign and its lowest seven bits.
// Sources: trellis coded quantization (Marcellin and Fischer, 1990); windows that slide over stored
//   bits, "bitshift" trellises, as in QTIP (Tseng and others, 2024). Tables are our own, from
//   Lloyd's iterations on normally distributed values of deviation 32 (docs/formats/trellis.md).
// Threads: pure functions.
#pragma once

#include <array>
#include <cstdint>

#include "base/float16.h"
#include "formats/integer_form.h"
#include "formats/rounding.h"

namespace checkbit {

inline constexpr int kTrellisWeights = 32;
inline constexpr int kTrellisTable = 64;
inline constexpr int kTrellisOffset = 128;
inline constexpr float kTrellisDeviation = 32;  ///< of the table's values

/// Where weight i stands on the circle.
constexpr int trellis_place(int i) { return 8 * (i % 4) + i / 4; }
constexpr int trellis_weight(int t) { return 4 * (t % 8) + t / 8; }

struct Trellis {
  std::array<std::uint8_t, kTrellisTable> table;  ///< values + kTrellisOffset, by window
  int code_bits;
  int window;  ///< codes; window * code_bits = 6

  int codes() const { return 1 << code_bits; }
  /// Windows that agree in all but their newest code follow the same state: its codes, the newest
  /// in the highest bits.
  int states() const { return kTrellisTable >> code_bits; }
  /// The window that leads into a state and forgets code `oldest`; the state it comes from; its
  /// newest code.
  int window_into(int state, int oldest) const { return state << code_bits | oldest; }
  int state_before(int q) const { return q & (states() - 1); }
  std::uint8_t newest(int q) const { return static_cast<std::uint8_t>(q >> (6 - code_bits)); }
  float value(int q) const {
    return static_cast<float>(table[static_cast<std::size_t>(q)] - kTrellisOffset);
  }
};

inline constexpr Trellis kTrellis2 = {
    {130, 145, 98,  169, 126, 154, 117, 94,  194, 138, 112, 168, 138, 75,  178, 155,
     165, 99,  126, 70,  109, 53,  87,  158, 129, 83,  159, 100, 121, 106, 147, 77,
     106, 178, 48,  137, 189, 96,  154, 120, 156, 108, 136, 118, 79,  128, 98,  134,
     77,  124, 152, 109, 152, 119, 131, 138, 97,  174, 209, 141, 179, 150, 123, 109},
    2,
    3};
inline constexpr Trellis kTrellis3 = {
    {141, 95,  117, 188, 151, 131, 111, 60,  153, 109, 136, 161, 135, 144, 176, 124,
     135, 53,  102, 113, 124, 157, 94,  177, 120, 133, 222, 74,  166, 106, 86,  145,
     164, 81,  149, 134, 96,  177, 203, 114, 81,  120, 165, 126, 195, 36,  142, 101,
     184, 149, 71,  98,  110, 119, 129, 86,  104, 174, 125, 143, 68,  87,  153, 161},
    3,
    2};

/// Walks around the circle back from the state where a path ends: oldest(t, state) is the code that
/// the best window into that state at place t forgets. Returns the state before place 0; codes null
/// or [32].
template <class Oldest>
int trace_path(const Trellis& trellis, int state, const Oldest& oldest, std::uint8_t* codes) {
  for (int t = kTrellisWeights - 1; t >= 0; --t) {
    const int q = trellis.window_into(state, oldest(t, state));
    if (codes != nullptr) codes[t] = trellis.newest(q);
    state = trellis.state_before(q);
  }
  return state;
}

/// Codes in the order of the circle -> windows q of the weights in their own order.
void trellis_windows(const Trellis& trellis, const std::uint8_t* codes, std::uint8_t* q);

/// The scale of a byte: infinite or NaN when its five highest bits are all ones.
inline constexpr int kTrellisDroppedBits = 7;  ///< of the scale's half
inline float trellis_scale(std::uint8_t byte) {
  return half_to_float(static_cast<std::uint16_t>(byte << kTrellisDroppedBits));
}

/// `Format::is_finite` of a block whose first byte is the scale.
bool trellis_is_finite(const std::uint8_t* block);

struct TrellisCode {
  std::uint8_t scale = 0;
  std::array<std::uint8_t, kTrellisWeights> codes{};  ///< in the order of the circle
  float error = 0;                                    ///< sum w * (x - value)^2
};

/// The codes of least error, nearly: the circle is closed where the best open path ends, and the
/// scale is the best of some near the one that the deviation asks for.
TrellisCode best_trellis_code(const Trellis& trellis, const Group& group);

/// The trellis of a format; null when it has none.
const Trellis* find_trellis(const Format& format);

/// A block of the file is the scale's byte and the codes in the order of the circle, lowest bits
/// first: codes [32] from and to what follows the scale.
void read_trellis_codes(const Trellis& trellis, const std::uint8_t* bits, std::uint8_t* codes);
void write_trellis_codes(const Trellis& trellis, const std::uint8_t* codes, std::uint8_t* bits);

template <const Trellis& kTrellis>
struct TrellisBlock {
  std::uint8_t scale;
  std::array<std::uint8_t, kTrellisWeights / 8 * kTrellis.code_bits> codes;
};

/// `Format::unpack`.
template <const Trellis& kTrellis>
void unpack_trellis(const std::uint8_t* bytes, IntegerBlock& out) {
  std::uint8_t codes[kTrellisWeights];
  read_trellis_codes(kTrellis, bytes + 1, codes);
  trellis_windows(kTrellis, codes, out.q.data());
  out.scale[0] = trellis_scale(bytes[0]);
  set_unit_subs(out);
}

/// `Format::encode`.
template <const Trellis& kTrellis>
void encode_trellis(const float* in, std::size_t n_blocks, const float* importance,
                    std::uint8_t* blocks) {
  using Block = TrellisBlock<kTrellis>;
  encode_blocks<Block, kTrellisWeights>(
      in, n_blocks, importance, blocks, [](const Group& group, Block& block) {
        const TrellisCode best = best_trellis_code(kTrellis, group);
        block.scale = best.scale;
        write_trellis_codes(kTrellis, best.codes.data(), block.codes.data());
      });
}

/// The record of the format of a trellis.
template <const Trellis& kTrellis, const Format& kFormat>
constexpr Format trellis_format(std::string_view name, std::string_view summary) {
  return {.name = name,
          .type_id = kOwnFormatBase + 0x10 + kTrellis.code_bits,
          .block_elements = kTrellisWeights,
          .block_bytes = sizeof(TrellisBlock<kTrellis>),
          .summary = summary,
          .decode = decode_integer<kFormat>,
          .encode = encode_trellis<kTrellis>,
          .is_finite = trellis_is_finite,
          .integer = {.bits = 6,
                      .q_offset = kTrellisOffset,
                      .table = kTrellis.table.data(),
                      .window = kTrellis.window,
                      .scale_elements = kTrellisWeights,
                      .sub_elements = kTrellisWeights,
                      .half_scales = true,
                      .activation_elements = kTrellisWeights},
          .unpack = unpack_trellis<kTrellis>,
          .own = true};
}

}  // namespace checkbit
