// For tests of products: made-up weights and activations, packed from the words of panel_layout.h
// and activations.h, not by the code under test.
#pragma once

#include <array>
#include <bit>
#include <numeric>

#include "base/bytes.h"
#include "base/float16.h"
#include "kernels/kernel_test_inputs.h"

namespace checkbit {

inline constexpr int kPanels = 3;
inline constexpr int kTokens = 61;  // blocks of 16, 16, 16, 8, 4 and 1
/// Every kind of block alone and after others.
inline constexpr int kTokenCounts[] = {1, 2, 3, 4, 5, 6, 8, 13, 15, 16, 21, 32, 33, kTokens};
inline constexpr int kRows = kPanels * kPanelRows;

/// How weights and activations are filled.
enum class Fill { random, largest_weights, largest_activations, zero_activations, outlier };
inline constexpr std::array kFills = {Fill::random, Fill::largest_weights,
                                      Fill::largest_activations, Fill::zero_activations,
                                      Fill::outlier};

/// Unpacked weights [kRows] and activations [kTokens], and what they make.
struct Problem {
  int columns = 0;
  int q_offset = 0;
  std::array<std::uint8_t, 64> table{};
  std::vector<std::uint8_t> q;                    ///< [rows][columns]
  std::vector<float> scales, min_scales;          ///< [rows][columns / scale_elements]
  std::vector<std::int8_t> sub_scales, sub_mins;  ///< [rows][columns / sub_elements]
  std::vector<std::int8_t> x;                     ///< [tokens][columns]
  std::vector<float> x_scales;                    ///< [tokens][columns / activation_elements]
  std::int64_t x_sum(int token, int from, int count) const {
    const auto first = x.begin() + token * columns + from;
    return std::accumulate(first, first + count, std::int64_t{0});
  }
};

inline std::vector<float> random_scales(Random& random, std::size_t count, bool half) {
  std::vector<float> values(count);
  for (float& v : values) {
    v = (random.uniform_float() - 0.3f) * 0.01f;
    if (half) v = half_to_float(float_to_half(v));
  }
  return values;
}

inline std::vector<std::int8_t> random_subs(Random& random, std::size_t count, bool largest) {
  std::vector<std::int8_t> values(count);
  for (auto& v : values)
    v = static_cast<std::int8_t>(largest ? -128 : static_cast<int>(random.below(256)) - 128);
  return values;
}

inline void fill_activations(Problem& p, const IntegerForm& form, Fill fill, Random& random) {
  const auto columns = static_cast<std::size_t>(p.columns);
  p.x.resize(kTokens * columns);
  for (std::size_t i = 0; i < p.x.size(); ++i) {
    switch (fill) {
      case Fill::largest_weights:
      case Fill::largest_activations:
        p.x[i] = i / columns % 2 == 0 ? 127 : -127;
        break;
      case Fill::zero_activations:
        p.x[i] = 0;
        break;
      case Fill::outlier:
        p.x[i] = i % columns == 37 ? 127 : 0;
        break;
      case Fill::random:
        p.x[i] = static_cast<std::int8_t>(static_cast<int>(random.below(255)) - 127);
    }
  }
  p.x_scales.resize(kTokens * columns / static_cast<std::size_t>(form.activation_elements));
  for (float& s : p.x_scales) s = fill == Fill::outlier ? 1e6f : random.uniform_float() * 0.1f;
}

/// Random codes to the windows they make, from the words of formats/trellis.h.
inline void join_windows(Problem& p, const IntegerForm& form) {
  const int code_bits = form.bits / form.window;
  for (std::size_t unit = 0; unit < p.q.size(); unit += 32) {
    const auto weight = [](int t) { return static_cast<std::size_t>(4 * (t % 8) + t / 8); };
    unsigned codes[32];
    for (int t = 0; t < 32; ++t) codes[t] = p.q[unit + weight(t)] & ((1u << code_bits) - 1);
    for (int t = 0; t < 32; ++t) {
      unsigned q = 0;
      for (int age = 0; age < form.window; ++age)
        q |= codes[(t + 32 - age) % 32] << (form.bits - (age + 1) * code_bits);
      p.q[unit + weight(t)] = static_cast<std::uint8_t>(q);
    }
  }
}

inline Problem make_problem(const ProductLine& line, Fill fill) {
  const IntegerForm& form = line.form;
  Random random(static_cast<std::uint64_t>(line.kind), static_cast<std::uint64_t>(fill));
  Problem p;
  // Several records, and with tiles more than one chunk of 256 columns, the last one shorter.
  const int record = std::max({form.scale_elements, form.activation_elements, kUnitColumns});
  p.columns = std::max(3 * record, 9 * kUnitColumns);
  p.q_offset = static_cast<int>(random.below(line.table || form.bits == 8 ? 129 : 1u << form.bits));
  for (auto& entry : p.table) entry = static_cast<std::uint8_t>(random.below(256));
  p.table[15] = p.table[63] = 255;
  const auto weights = static_cast<std::size_t>(kRows * p.columns);
  p.q.resize(weights);
  const std::uint64_t levels = 1u << form.bits;
  for (auto& q : p.q)
    q = static_cast<std::uint8_t>(fill == Fill::largest_weights ? levels - 1
                                                                : random.below(levels));
  if (form.window > 1) join_windows(p, form);
  p.scales = random_scales(random, weights / static_cast<std::size_t>(form.scale_elements),
                           form.half_scales);
  p.min_scales = random_scales(random, p.scales.size(), form.half_scales);
  if (form.min_ratio != 0) {
    for (std::size_t i = 0; i < p.scales.size(); ++i)
      p.min_scales[i] = p.scales[i] * form.min_ratio;
  }
  const std::size_t subs = weights / static_cast<std::size_t>(form.sub_elements);
  p.sub_scales = form.has_sub_scale ? random_subs(random, subs, fill == Fill::largest_weights)
                                    : std::vector<std::int8_t>(subs, 1);
  p.sub_mins = form.has_sub_min ? random_subs(random, subs, fill == Fill::largest_weights)
                                : std::vector<std::int8_t>(subs, 1);
  fill_activations(p, form, fill, random);
  return p;
}

// ---- packing, from the words of panel_layout.h ----

inline void pack_quant(std::uint8_t* unit, int bits, int lane, int column, unsigned q) {
  const int slice = column / 4;
  const int at = 4 * lane + column % 4;
  const auto put = [&](int vector, unsigned value, int shift) {
    unit[64 * vector + at] = static_cast<std::uint8_t>(unit[64 * vector + at] | value << shift);
  };
  switch (bits) {
    case 2:
      put(slice / 4, q, 2 * (slice % 4));
      break;
    case 3:
      put(slice / 4, q & 3, 2 * (slice % 4));
      put(2, q >> 2, slice);
      break;
    case 4:
      put(slice / 2, q, 4 * (slice % 2));
      break;
    case 5:
      put(slice / 2, q & 15, 4 * (slice % 2));
      put(4, q >> 4, slice);
      break;
    case 6:
      put(slice / 2, q & 15, 4 * (slice % 2));
      put(4 + slice / 4, q >> 4, 2 * (slice % 4));
      break;
    default:
      put(slice, q, 0);
  }
}

inline void put_scale(std::uint8_t* base, int index, bool half, float value) {
  half ? store_unaligned(base + 2 * index, float_to_half(value))
       : store_unaligned(base + 4 * index, value);
}

inline std::vector<std::uint8_t> pack(const Problem& p, const IntegerForm& form,
                                      std::size_t& panel_bytes) {
  const PanelLayout layout = panel_layout(form);
  panel_bytes = layout.record_bytes * static_cast<std::size_t>(p.columns / layout.record_columns);
  std::vector<std::uint8_t> bytes(panel_bytes * kPanels);
  for (int row = 0; row < kRows; ++row) {
    const int lane = row % kPanelRows;
    for (int c = 0; c < p.columns; ++c) {
      std::uint8_t* record =
          bytes.data() + static_cast<std::size_t>(row / kPanelRows) * panel_bytes +
          static_cast<std::size_t>(c / layout.record_columns) * layout.record_bytes;
      const int inside = c % layout.record_columns;
      const auto weight = static_cast<std::size_t>(row * p.columns + c);
      pack_quant(
          record + layout.quant_offset + static_cast<std::size_t>(inside / 32) * layout.unit_bytes,
          form.bits / form.window, lane, inside % 32,
          p.q[weight] >> (form.bits - form.bits / form.window));
      const int scale_at = 16 * (inside / form.scale_elements) + lane;
      const std::size_t scale = weight / static_cast<std::size_t>(form.scale_elements);
      put_scale(record, scale_at, form.half_scales, p.scales[scale]);
      if (form.has_min && form.min_ratio == 0) {
        put_scale(record + layout.min_offset, scale_at, form.half_scales, p.min_scales[scale]);
      }
      const int sub_index = inside / form.sub_elements;
      const auto sub_at = static_cast<std::size_t>(16 * sub_index + lane);
      const bool paired = form.scale_elements > form.sub_elements;
      const auto min_at =
          paired ? static_cast<std::size_t>(32 * (sub_index / 2) + 2 * lane + sub_index % 2)
                 : sub_at;
      const std::size_t sub = weight / static_cast<std::size_t>(form.sub_elements);
      if (form.has_sub_scale)
        record[layout.sub_offset + sub_at] = static_cast<std::uint8_t>(p.sub_scales[sub]);
      if (form.has_sub_min)
        record[layout.sub_min_offset + min_at] = static_cast<std::uint8_t>(p.sub_mins[sub]);
    }
  }
  return bytes;
}

// ---- activations in blocks, from the words of activations.h ----

struct Activations {
  std::vector<std::int8_t> q;
  std::vector<float> scales;
  std::vector<std::int32_t> starts, mins;
};

inline Activations interleave(const Problem& p, const IntegerForm& form, int tokens) {
  Activations a;
  for (int first = 0; first < tokens;) {
    const int rest = tokens - first;
    const int width = rest >= 16 ? 16 : rest >= 8 ? 8 : rest >= 4 ? 4 : 1;
    const int group = form.activation_elements;
    for (int c = 0; c < p.columns; c += group) {
      for (int t = first; t < first + width; ++t) {
        const auto from = p.x.begin() + t * p.columns + c;
        a.q.insert(a.q.end(), from, from + group);
      }
    }
    const auto each = [&](int step, auto&& f) {
      for (int c = 0; step > 0 && c < p.columns; c += step) {
        for (int t = first; t < first + width; ++t) f(t, c);
      }
    };
    const auto scale_at = [&](int t, int c) {
      return p.x_scales[static_cast<std::size_t>((t * p.columns + c) / form.activation_elements)];
    };
    each(form.activation_elements, [&](int t, int c) { a.scales.push_back(scale_at(t, c)); });
    each(form.sub_elements, [&](int t, int c) {
      a.starts.push_back(static_cast<std::int32_t>(-p.q_offset * p.x_sum(t, c, form.sub_elements)));
    });
    if (form.has_sub_min) {
      const int entries = form.scale_elements > form.sub_elements ? 2 : 1;
      each(entries * form.sub_elements, [&](int t, int c) {
        const auto low = static_cast<std::int16_t>(p.x_sum(t, c, form.sub_elements));
        const auto high = static_cast<std::int16_t>(
            entries == 2 ? p.x_sum(t, c + form.sub_elements, form.sub_elements) : 0);
        std::int32_t pair = 0;
        std::memcpy(&pair, &low, 2);
        std::memcpy(reinterpret_cast<char*>(&pair) + 2, &high, 2);
        a.mins.push_back(pair);
      });
    } else if (form.has_min) {
      each(form.scale_elements, [&](int t, int c) {
        const float scaled =
            static_cast<float>(p.x_sum(t, c, form.scale_elements)) * scale_at(t, c);
        a.mins.push_back(std::bit_cast<std::int32_t>(scaled));
      });
    }
    first += width;
  }
  return a;
}

/// The product of the first `tokens` tokens with n_panels panels.
inline ProductArguments product_arguments(const Problem& p, const ProductLine& line,
                                          const std::vector<std::uint8_t>& panels,
                                          std::size_t panel_bytes, Activations& x, int tokens) {
  ProductArguments a;
  a.panels = panels.data();
  a.panel_bytes = panel_bytes;
  a.n_panels = kPanels;
  a.columns = p.columns;
  a.table = line.table ? p.table.data() : nullptr;
  a.q_offset = p.q_offset;
  a.x = {x.q.data(), x.scales.data(), x.starts.data(), x.mins.data()};
  a.n_tokens = tokens;
  return a;
}

}  // namespace checkbit
