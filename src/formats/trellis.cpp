#include "formats/trellis.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace checkbit {
namespace {

constexpr int kScales = 8;
using Scales = float __attribute__((vector_size(4 * kScales)));
using Choices = std::int32_t __attribute__((vector_size(4 * kScales)));

constexpr int kMostStates = 16;
constexpr int kLargestScale = 0xf7;  // exponent 30, mantissa all ones

#define CHECKBIT_TRELLIS_TARGET
#define CHECKBIT_TRELLIS_NAME search_any
#include "formats/trellis_search_body.h"

#ifdef __x86_64__
#define CHECKBIT_TRELLIS_TARGET __attribute__((target("avx2")))
#define CHECKBIT_TRELLIS_NAME search_avx2
#include "formats/trellis_search_body.h"
#endif

/// The best of eight scales.
TrellisCode best_of(const Trellis& trellis, const Group& group,
                    const std::uint8_t (&bytes)[kScales]) {
#ifdef __x86_64__
  static const bool has_avx2 = __builtin_cpu_supports("avx2") != 0;
  if (has_avx2) return search_avx2(trellis, group, bytes);
#endif
  return search_any(trellis, group, bytes);
}

float zero_error(const Group& group) {
  float error = 0;
  for (int i = 0; i < kTrellisWeights; ++i) error += group.w[i] * group.x[i] * group.x[i];
  return error;
}

}  // namespace

void trellis_windows(const Trellis& trellis, const std::uint8_t* codes, std::uint8_t* q) {
  int window = 0;
  const auto take = [&](int t) {
    window = window >> trellis.code_bits | codes[t] << (6 - trellis.code_bits);
  };
  for (int t = kTrellisWeights - trellis.window + 1; t < kTrellisWeights; ++t) take(t);
  for (int t = 0; t < kTrellisWeights; ++t) {
    take(t);
    q[trellis_weight(t)] = static_cast<std::uint8_t>(window);
  }
}

const Trellis* find_trellis(const Format& format) {
  for (const Trellis* trellis : {&kTrellis2, &kTrellis3}) {
    if (format.integer.table == trellis->table.data()) return trellis;
  }
  return nullptr;
}

void read_trellis_codes(const Trellis& trellis, const std::uint8_t* bits, std::uint8_t* codes) {
  for (int t = 0; t < kTrellisWeights; ++t) {
    unsigned code = 0;
    for (int b = 0; b < trellis.code_bits; ++b) {
      const int at = trellis.code_bits * t + b;
      code |= (static_cast<unsigned>(bits[at / 8]) >> (at % 8) & 1u) << b;
    }
    codes[t] = static_cast<std::uint8_t>(code);
  }
}

void write_trellis_codes(const Trellis& trellis, const std::uint8_t* codes, std::uint8_t* bits) {
  std::fill_n(bits, kTrellisWeights / 8 * trellis.code_bits, std::uint8_t{0});
  for (int at = 0; at < kTrellisWeights * trellis.code_bits; ++at) {
    const unsigned bit =
        static_cast<unsigned>(codes[at / trellis.code_bits]) >> (at % trellis.code_bits) & 1u;
    bits[at / 8] |= static_cast<std::uint8_t>(bit << (at % 8));
  }
}

bool trellis_is_finite(const std::uint8_t* block) {
  return half_is_finite(static_cast<std::uint16_t>(block[0] << kTrellisDroppedBits));
}

TrellisCode best_trellis_code(const Trellis& trellis, const Group& whole) {
  // The largest scale reaches this far all around; beyond it paths would only compete in length,
  // and squares would drown the differences between them.
  constexpr float kFurthest = 40 * 61440.0f;
  float cut[kTrellisWeights];
  for (int i = 0; i < kTrellisWeights; ++i) cut[i] = std::clamp(whole.x[i], -kFurthest, kFurthest);
  const Group group{cut, whole.w, kTrellisWeights};
  TrellisCode nothing{.error = zero_error(group)};
  if (nothing.error == 0) return nothing;
  const float weight = value_sums(group).w;
  const float asked = std::sqrt(nothing.error / weight) / kTrellisDeviation;
  const int base = std::max(1, half_code_at_most(asked, kTrellisDroppedBits, kLargestScale));
  // Groups with a few large weights want larger scales than their deviation says.
  constexpr int kSteps[kScales] = {-2, -1, 0, 1, 2, 4, 6, 9};
  std::uint8_t bytes[kScales];
  for (int lane = 0; lane < kScales; ++lane)
    bytes[lane] = static_cast<std::uint8_t>(std::clamp(base + kSteps[lane], 1, kLargestScale));
  TrellisCode found = best_of(trellis, group, bytes);
  if (found.scale > base + 2) {
    for (int lane = 0; lane < kScales; ++lane)
      bytes[lane] = static_cast<std::uint8_t>(std::clamp(found.scale + lane - 2, 1, kLargestScale));
    found = best_of(trellis, group, bytes);
  }
  return found.error < nothing.error ? found : nothing;
}

}  // namespace checkbit
