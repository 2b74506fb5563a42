// Every line of products.def on every instruction set, bit for bit against a scalar reference
// written from docs/numerics.md, and float products likewise. Weights are packed here from the
// words of panel_layout.h, not by the code under test.

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <numeric>

#include "base/bytes.h"
#include "base/float16.h"
#include "kernels/kernel_test_inputs.h"

namespace checkbit {
namespace {

constexpr int kPanels = 3;
constexpr int kTokens = 61;  // blocks of 16, 16, 16, 8, 4 and 1
/// Every kind of block alone and after others.
constexpr int kTokenCounts[] = {1, 2, 3, 4, 5, 6, 8, 13, 15, 16, 21, 32, 33, kTokens};
constexpr int kRows = kPanels * kPanelRows;

/// How weights and activations are filled.
enum class Fill { random, largest_weights, largest_activations, zero_activations, outlier };
constexpr std::array kFills = {Fill::random, Fill::largest_weights, Fill::largest_activations,
                               Fill::zero_activations, Fill::outlier};

/// Unpacked weights [kRows] and activations [kTokens], and what they make.
struct Problem {
  int columns = 0;
  int q_offset = 0;
  std::array<std::uint8_t, 16> table{};
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

std::vector<float> random_scales(Random& random, std::size_t count, bool half) {
  std::vector<float> values(count);
  for (float& v : values) {
    v = (random.uniform_float() - 0.3f) * 0.01f;
    if (half) v = half_to_float(float_to_half(v));
  }
  return values;
}

std::vector<std::int8_t> random_subs(Random& random, std::size_t count, bool largest) {
  std::vector<std::int8_t> values(count);
  for (auto& v : values)
    v = static_cast<std::int8_t>(largest ? -128 : static_cast<int>(random.below(256)) - 128);
  return values;
}

void fill_activations(Problem& p, const IntegerForm& form, Fill fill, Random& random) {
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

Problem make_problem(const ProductLine& line, Fill fill) {
  const IntegerForm& form = line.form;
  Random random(static_cast<std::uint64_t>(line.kind), static_cast<std::uint64_t>(fill));
  Problem p;
  // Several records, and with tiles more than one chunk of 256 columns, the last one shorter.
  const int record = std::max({form.scale_elements, form.activation_elements, kUnitColumns});
  p.columns = std::max(3 * record, 9 * kUnitColumns);
  p.q_offset = static_cast<int>(random.below(line.table || form.bits == 8 ? 129 : 1u << form.bits));
  for (auto& entry : p.table) entry = static_cast<std::uint8_t>(random.below(256));
  p.table[15] = 255;
  const auto weights = static_cast<std::size_t>(kRows * p.columns);
  p.q.resize(weights);
  const std::uint64_t levels = 1u << form.bits;
  for (auto& q : p.q)
    q = static_cast<std::uint8_t>(fill == Fill::largest_weights ? levels - 1
                                                                : random.below(levels));
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

void pack_quant(std::uint8_t* unit, int bits, int lane, int column, unsigned q) {
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

void put_scale(std::uint8_t* base, int index, bool half, float value) {
  half ? store_unaligned(base + 2 * index, float_to_half(value))
       : store_unaligned(base + 4 * index, value);
}

std::vector<std::uint8_t> pack(const Problem& p, const IntegerForm& form,
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
          form.bits, lane, inside % 32, p.q[weight]);
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

Activations interleave(const Problem& p, const IntegerForm& form, int tokens) {
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

// ---- the reference, from docs/numerics.md ----

enum class Order { canonical, reversed };

float reference_row(const Problem& p, const ProductLine& line, int token, int row, Order order) {
  const IntegerForm& form = line.form;
  const int groups = p.columns / form.scale_elements;
  float acc = 0;
  for (int step = 0; step < groups; ++step) {
    const int g = order == Order::canonical ? step : groups - 1 - step;
    std::int64_t s = 0;
    std::int64_t m = 0;
    for (int c = g * form.scale_elements; c < (g + 1) * form.scale_elements; ++c) {
      const auto weight = static_cast<std::size_t>(row * p.columns + c);
      const std::int64_t x = p.x[static_cast<std::size_t>(token * p.columns + c)];
      const std::int64_t w = line.table ? p.table[p.q[weight]] : p.q[weight];
      const std::size_t sub = weight / static_cast<std::size_t>(form.sub_elements);
      s += p.sub_scales[sub] * (w - p.q_offset) * x;
      m += p.sub_mins[sub] * x;
    }
    EXPECT_LE(std::abs(s), INT32_MAX);
    EXPECT_LE(std::abs(m), INT32_MAX);
    const auto scale = static_cast<std::size_t>(row * groups + g);
    const float x_scale =
        p.x_scales[static_cast<std::size_t>(token * p.columns + g * form.scale_elements) /
                   static_cast<std::size_t>(form.activation_elements)];
    if (form.min_ratio != 0) {
      const std::int64_t units = s * static_cast<std::int64_t>(1 / form.min_ratio) - m;
      EXPECT_LE(std::abs(units), INT32_MAX);
      acc = std::fma(static_cast<float>(units), p.scales[scale] * form.min_ratio * x_scale, acc);
      continue;
    }
    acc = std::fma(static_cast<float>(s), p.scales[scale] * x_scale, acc);
    if (form.has_sub_min) {
      acc = std::fma(-static_cast<float>(m), p.min_scales[scale] * x_scale, acc);
    } else if (form.has_min) {
      acc = std::fma(-(static_cast<float>(m) * x_scale), p.min_scales[scale], acc);
    }
  }
  return acc;
}

/// [kTokens][kRows].
std::vector<float> reference(const Problem& p, const ProductLine& line, Order order) {
  std::vector<float> y;
  for (int t = 0; t < kTokens; ++t) {
    for (int row = 0; row < kRows; ++row) y.push_back(reference_row(p, line, t, row, order));
  }
  return y;
}

std::string line_name(const testing::TestParamInfo<std::size_t>& entry) {
  return std::string(kProductLines[entry.param].name);
}

class Product : public testing::TestWithParam<std::size_t> {};

TEST_P(Product, EveryInstructionSetGivesTheReferenceBits) {
  const ProductLine& line = kProductLines[GetParam()];
  for (const Fill fill : kFills) {
    const Problem p = make_problem(line, fill);
    std::size_t panel_bytes = 0;
    const auto panels = pack(p, line.form, panel_bytes);
    const auto expected = reference(p, line, Order::canonical);
    for (const auto& [name, kernels] : tested_kernels()) {
      for (const int tokens : kTokenCounts) {
        constexpr int kStride = kRows + 5;
        constexpr float kUntouched = 12345.0f;
        std::vector<float> y(static_cast<std::size_t>(kTokens * kStride), kUntouched);
        Activations x = interleave(p, line.form, tokens);
        std::vector<std::uint8_t> scratch(product_scratch_bytes(p.columns));
        ProductArguments a;
        a.panels = panels.data();
        a.panel_bytes = panel_bytes;
        a.n_panels = kPanels;
        a.columns = p.columns;
        a.table = line.table ? p.table.data() : nullptr;
        a.q_offset = p.q_offset;
        a.x = {x.q.data(), x.scales.data(), x.starts.data(), x.mins.data()};
        a.scratch = scratch.data();
        a.n_tokens = tokens;
        a.y = y.data();
        a.y_stride = kStride;
        kernels->products[static_cast<int>(line.kind)](a);
        for (int i = 0; i < kTokens * kStride; ++i) {
          const int t = i / kStride;
          const int row = i % kStride;
          const float want = t < tokens && row < kRows
                                 ? expected[static_cast<std::size_t>(t * kRows + row)]
                                 : kUntouched;
          ASSERT_EQ(std::memcmp(&y[static_cast<std::size_t>(i)], &want, 4), 0)
              << name << ", fill " << static_cast<int>(fill) << ", " << tokens << " tokens, token "
              << t << ", row " << row << ": " << y[static_cast<std::size_t>(i)] << " instead of "
              << want;
        }
      }
    }
  }
}

/// The comparison above can fail: adding the groups in another order gives other bits.
TEST_P(Product, AnotherOrderGivesOtherBits) {
  const ProductLine& line = kProductLines[GetParam()];
  const Problem p = make_problem(line, Fill::random);
  EXPECT_GE(
      first_difference(reference(p, line, Order::canonical), reference(p, line, Order::reversed)),
      0);
}

TEST_P(Product, EveryInstructionSetHasItsOwnCode) {
  const auto all = tested_kernels();
  const auto kind = static_cast<std::size_t>(kProductLines[GetParam()].kind);
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j)
      EXPECT_NE(all[i].kernels->products[kind], all[j].kernels->products[kind]);
  }
}

TEST_P(Product, IsFoundByItsForm) {
  const ProductLine& line = kProductLines[GetParam()];
  IntegerForm form = line.form;
  static constexpr std::array<std::uint8_t, 16> kTable{};
  if (line.table) form.table = kTable.data();
  const auto choice = find_product(form);
  ASSERT_TRUE(choice.ok()) << choice.error().message;
  EXPECT_EQ(choice->name, line.name);
  EXPECT_FALSE(choice->widened);
}

INSTANTIATE_TEST_SUITE_P(Lines, Product, testing::Range<std::size_t>(0, std::size(kProductLines)),
                         line_name);

TEST(FindProduct, WidensWhatHasNoLineOfItsOwn) {
  IntegerForm form{.bits = 3,
                   .scale_elements = 256,
                   .sub_elements = 32,
                   .has_sub_scale = true,
                   .half_scales = true,
                   .activation_elements = 256};
  const auto choice = find_product(form);
  ASSERT_TRUE(choice.ok()) << choice.error().message;
  EXPECT_EQ(choice->name, "k32_b8_f32");
  EXPECT_TRUE(choice->widened);
  EXPECT_EQ(choice->form.bits, 8);
  EXPECT_FALSE(choice->form.half_scales);
  form.sub_elements = 64;
  const auto none = find_product(form);
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().kind, ErrorKind::not_found);
  EXPECT_EQ(none.error().message, "no product kernel for 3 bits in groups of 256");
}

// ---- activations ----

/// One token in lane 1 of a block of four; what stands in the other lanes must stay.
struct Quantized {
  Quantized(Isa isa, const std::vector<float>& x, const ActivationForm& form)
      : group(static_cast<std::size_t>(form.group)),
        q(4 * x.size(), 99),
        scales(4 * x.size(), 99.0f),
        starts(4 * x.size(), 99),
        mins(4 * x.size(), 99) {
    kernels_for(isa).quantize_activations({.x = x.data(),
                                           .columns = static_cast<std::int64_t>(x.size()),
                                           .form = form,
                                           .width = 4,
                                           .lane = 1,
                                           .q = q.data(),
                                           .scales = scales.data(),
                                           .starts = starts.data(),
                                           .mins = mins.data()});
  }
  std::size_t group;
  std::vector<std::int8_t> q;
  std::vector<float> scales;
  std::vector<std::int32_t> starts, mins;
  std::int8_t q_at(std::size_t column) const {
    return q[(column / group * 4 + 1) * group + column % group];
  }
  std::int32_t q_sum(std::size_t from, std::size_t count) const {
    std::int32_t sum = 0;
    for (std::size_t c = from; c < from + count; ++c) sum += q_at(c);
    return sum;
  }
};

constexpr ActivationForm kPlainForm{.group = 32, .sub = 32, .offset = 8};

TEST(QuantizeActivations, EveryInstructionSetFollowsTheRule) {
  constexpr std::size_t kColumns = 512;
  auto x = random_floats(3, kColumns, 5);
  for (std::size_t i = 0; i < 256; ++i) x[i] *= i % 32 == 7 ? 1e3f : 1e-3f;
  std::fill(x.begin() + 256, x.begin() + 288, 0.0f);
  x[300] = -3.4e38f;
  x[330] = 2.5f;  // of 127 / 5: ties
  x[331] = -127.0f;
  for (const ProductLine& line : kProductLines) {
    IntegerForm integer = line.form;
    integer.q_offset = 7;
    const ActivationForm form = activation_form(integer);
    const auto group = static_cast<std::size_t>(form.group);
    const auto sub = static_cast<std::size_t>(form.sub);
    for (const Isa isa : present_isas()) {
      SCOPED_TRACE(fmt::format("{} {}", line.name, to_string(isa)));
      const Quantized out(isa, x, form);
      for (std::size_t start = 0; start < kColumns; start += group) {
        float largest = 0;
        for (std::size_t i = 0; i < group; ++i)
          largest = std::max(largest, std::fabs(x[start + i]));
        ASSERT_EQ(out.scales[start / group * 4 + 1], largest / 127.0f);
        for (std::size_t i = 0; i < group; ++i) {
          const float scaled = largest > 0 ? x[start + i] * (127.0f / largest) : 0.0f;
          ASSERT_EQ(out.q_at(start + i), static_cast<std::int8_t>(std::nearbyint(scaled)))
              << start + i;
        }
      }
      for (std::size_t c = 0; c < kColumns; c += sub)
        ASSERT_EQ(out.starts[c / sub * 4 + 1], -7 * out.q_sum(c, sub));
      for (std::size_t c = 0; form.min_step > 0 && c < kColumns;
           c += static_cast<std::size_t>(form.min_step)) {
        const std::int32_t got = out.mins[c / static_cast<std::size_t>(form.min_step) * 4 + 1];
        if (form.mins == ActivationForm::Mins::sums) {
          ASSERT_EQ(std::bit_cast<float>(got),
                    static_cast<float>(out.q_sum(c, static_cast<std::size_t>(form.min_step))) *
                        out.scales[c / group * 4 + 1]);
        } else {
          ASSERT_EQ(static_cast<std::int16_t>(got), out.q_sum(c, sub));
          ASSERT_EQ(got >> 16, form.sums_per_min == 2 ? out.q_sum(c + sub, sub) : 0);
        }
      }
      EXPECT_EQ(std::ranges::count(out.scales, 99.0f),
                std::ssize(out.scales) - std::ssize(x) / form.group);
      EXPECT_EQ(out.q[0], 99);
    }
  }
}

/// 127 / max overflows for magnitudes below 3.7e-37: such a group counts as zero.
TEST(QuantizeActivations, AGroupOfTheSmallestNumbersCountsAsZero) {
  for (const Isa isa : present_isas()) {
    const Quantized out(isa, std::vector<float>(32, 1e-38f), kPlainForm);
    for (std::size_t c = 0; c < 32; ++c) EXPECT_EQ(out.q_at(c), 0) << to_string(isa);
    EXPECT_EQ(out.starts[1], 0) << to_string(isa);
    EXPECT_LT(out.scales[1], 1e-38f);
  }
}

/// A hostile model can make activations infinite: sums must still be those of the bytes, or
/// products overflow.
TEST(QuantizeActivations, SumsAreThoseOfTheBytesAlsoOfWhatIsNotFinite) {
  for (const float bad : {INFINITY, -INFINITY, static_cast<float>(NAN)}) {
    auto x = random_floats(9, 64, 2);
    x[5] = bad;
    std::vector<std::int8_t> q_expected;
    for (const Isa isa : present_isas()) {
      const Quantized out(isa, x, kPlainForm);
      for (const std::size_t c : {0u, 32u})
        EXPECT_EQ(out.starts[c / 32 * 4 + 1], -8 * out.q_sum(c, 32))
            << to_string(isa) << " " << bad;
      if (q_expected.empty()) q_expected = out.q;
      EXPECT_EQ(out.q, q_expected) << to_string(isa) << " " << bad;
    }
  }
}

// ---- float weights ----

template <class Store>
std::vector<std::uint8_t> pack_floats(const std::vector<float>& w, int panels, int columns,
                                      std::size_t element, Store&& store) {
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(panels * kPanelRows * columns) *
                                  element);
  for (int row = 0; row < panels * kPanelRows; ++row) {
    for (int c = 0; c < columns; ++c) {
      const auto at = static_cast<std::size_t>((row / 16 * columns + c) * 16 + row % 16);
      store(bytes.data() + element * at, w[static_cast<std::size_t>(row * columns + c)]);
    }
  }
  return bytes;
}

std::vector<float> float_reference(const std::vector<float>& w, const std::vector<float>& x,
                                   int rows, int columns, int stride, bool reversed) {
  std::vector<float> y;
  for (int t = 0; t < kTokens; ++t) {
    for (int row = 0; row < rows; ++row) {
      float acc = 0;
      for (int step = 0; step < columns; ++step) {
        const int c = reversed ? columns - 1 - step : step;
        acc = std::fma(w[static_cast<std::size_t>(row * columns + c)],
                       x[static_cast<std::size_t>(t * stride + c)], acc);
      }
      y.push_back(acc);
    }
  }
  return y;
}

TEST(FloatProduct, EveryInstructionSetGivesTheReferenceBits) {
  constexpr int kMostPanels = 6;  // a tile of four and a rest
  constexpr int kColumns = 67;
  constexpr int kStride = 70;
  constexpr int kMostRows = kMostPanels * kPanelRows;
  const auto x = random_floats(1, kTokens * kStride, 3);
  for (const FloatStorage storage : {FloatStorage::f32, FloatStorage::f16, FloatStorage::bf16}) {
    auto w = random_floats(2, kMostRows * kColumns, 0.1f);
    for (float& v : w) {
      if (storage == FloatStorage::f16) v = half_to_float(float_to_half(v));
      if (storage == FloatStorage::bf16) v = bfloat16_to_float(float_to_bfloat16(v));
    }
    const std::size_t element = storage == FloatStorage::f32 ? 4 : 2;
    const auto panels =
        pack_floats(w, kMostPanels, kColumns, element, [&](std::uint8_t* to, float v) {
          if (storage == FloatStorage::f32) return store_unaligned(to, v);
          store_unaligned(to,
                          storage == FloatStorage::f16 ? float_to_half(v) : float_to_bfloat16(v));
        });
    const auto expected = float_reference(w, x, kMostRows, kColumns, kStride, false);
    EXPECT_GE(first_difference(expected, float_reference(w, x, kMostRows, kColumns, kStride, true)),
              0)
        << "cannot fail";
    for (const Isa isa : present_isas()) {
      for (const int tokens : kTokenCounts) {
        const int n_panels = tokens % kMostPanels + 1;
        std::vector<float> y(kTokens * kMostRows);
        kernels_for(isa).float_product({.storage = storage,
                                        .panels = panels.data(),
                                        .panel_bytes = element * 16 * kColumns,
                                        .n_panels = n_panels,
                                        .columns = kColumns,
                                        .x = x.data(),
                                        .x_stride = kStride,
                                        .n_tokens = tokens,
                                        .y = y.data(),
                                        .y_stride = kMostRows});
        for (int i = 0; i < kTokens * kMostRows; ++i) {
          const bool written = i / kMostRows < tokens && i % kMostRows < n_panels * kPanelRows;
          const float want = written ? expected[static_cast<std::size_t>(i)] : 0.0f;
          ASSERT_EQ(std::memcmp(&y[static_cast<std::size_t>(i)], &want, 4), 0)
              << to_string(isa) << ", storage " << static_cast<int>(storage) << ", " << tokens
              << " tokens, element " << i;
        }
      }
    }
  }
}

}  // namespace
}  // namespace checkbit
