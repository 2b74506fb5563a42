// Every line of products.def on every instruction set, bit for bit against a scalar reference
// written from docs/numerics.md, and float products likewise. Weights are packed here from the
// words of panel_layout.h, not by the code under test.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/product_test_problem.h"

namespace checkbit {
namespace {

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
        ProductArguments a = product_arguments(p, line, panels, panel_bytes, x, tokens);
        a.scratch = scratch.data();
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
  static constexpr std::array<std::uint8_t, 64> kTable{};
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
        mins(4 * x.size(), 99),
        arguments{.x = x.data(),
                  .columns = static_cast<std::int64_t>(x.size()),
                  .form = form,
                  .width = 4,
                  .lane = 1,
                  .q = q.data(),
                  .scales = scales.data(),
                  .starts = starts.data(),
                  .mins = mins.data()} {
    kernels_for(isa).quantize_activations(arguments);
  }
  Quantized(const Quantized&) = delete;
  Quantized& operator=(const Quantized&) = delete;
  std::size_t group;
  std::vector<std::int8_t> q;
  std::vector<float> scales;
  std::vector<std::int32_t> starts, mins;
  QuantizeArguments arguments;
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

/// The second quantization: every bit that the first wrote counts, and no other.
TEST(SameActivations, SeesEveryChangedBitOfItsTokenAlone) {
  constexpr std::size_t kColumns = 512;
  auto x = random_floats(4, kColumns, 5);
  x[100] = std::numeric_limits<float>::infinity();
  for (const ProductLine& line : kProductLines) {
    IntegerForm integer = line.form;
    integer.q_offset = 7;
    const ActivationForm form = activation_form(integer);
    for (const Isa isa : present_isas()) {
      SCOPED_TRACE(fmt::format("{} {}", line.name, to_string(isa)));
      Quantized out(isa, x, form);
      const auto same = [&] { return kernels_for(isa).same_activations(out.arguments); };
      EXPECT_TRUE(same());
      // Of `entries` the first `written` are of the block of four, `run` in a row of one token.
      const auto flip = [&](auto& entries, std::int64_t written, std::size_t run) {
        auto* const bytes = reinterpret_cast<std::uint8_t*>(entries.data());
        const std::size_t size = sizeof entries[0];
        for (std::size_t bit = 0; bit < 8 * size * entries.size(); bit += 61) {
          const std::size_t entry = bit / 8 / size;
          const bool own = entry < 4 * static_cast<std::size_t>(written) && entry / run % 4 == 1;
          const auto mask = static_cast<std::uint8_t>(1 << bit % 8);
          bytes[bit / 8] ^= mask;
          ASSERT_EQ(same(), !own) << "entry " << entry << " bit " << bit;
          bytes[bit / 8] ^= mask;
        }
      };
      flip(out.q, kColumns, out.group);
      flip(out.scales, scales_per_token(form, kColumns), 1);
      flip(out.starts, starts_per_token(form, kColumns), 1);
      flip(out.mins, mins_per_token(form, kColumns), 1);
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
