// The exact check of products (docs/guard.md): every line of products.def on every instruction set
// against sums written from its page, and flipped bits of packed panels.

#include "base/test_stride.h"
#include "kernels/product_test_problem.h"

namespace checkbit {
namespace {

constexpr std::int64_t kFirstPanel = ProductCheck::kPeriod - 2;  // factors change within
constexpr int kMostPairs = 256;                                  // of the scales of one row
constexpr int kCheckedTokens[] = {1, 4, 5, 13, 16, 33, kTokens};

std::uint32_t bits(std::int64_t x) { return static_cast<std::uint32_t>(x); }

/// Odd weights of rows, two factors, and pairs of odd factors of scales.
struct Weights {
  std::vector<std::int32_t> lanes, factors, scale_factors;
  Weights() {
    Random random(77);
    for (int i = 0; i < ProductCheck::kPeriod * kPanelRows; ++i)
      lanes.push_back(static_cast<std::int32_t>(random.next() | 1));
    factors = {static_cast<std::int32_t>(random.next() | 1),
               static_cast<std::int32_t>(random.next() | 1)};
    for (int pair = 0; pair < kMostPairs; ++pair)
      scale_factors.push_back((12 * pair + 7) * 0x10000 | ((-12 * pair - 1) & 0xffff));
  }
  /// What a row's scales are multiplied with: binary16 of two rows share a lane.
  std::uint32_t of_scales(const IntegerForm& form, int row) const {
    return of(form.half_scales ? row / kPanelRows * kPanelRows + row % kPanelRows / 2 : row);
  }
  std::uint32_t of(int row) const {
    const std::int64_t panel = kFirstPanel + row / kPanelRows;
    const auto lane = static_cast<std::size_t>(panel % 64 * kPanelRows + row % kPanelRows);
    return bits(lanes[lane]) * bits(factors[static_cast<std::size_t>(panel / 64)]);
  }
};

/// What one unit of x_k adds to the integers of a row.
std::uint32_t coefficient(const Problem& p, const ProductLine& line, int row, int column) {
  const IntegerForm& form = line.form;
  const auto weight = static_cast<std::size_t>(row * p.columns + column);
  const std::size_t sub = weight / static_cast<std::size_t>(form.sub_elements);
  const std::int64_t w = (line.table ? p.table[p.q[weight]] : p.q[weight]) - p.q_offset;
  const std::int64_t minimum = form.has_sub_min ? p.sub_mins[sub] : 0;
  if (form.min_ratio != 0) return bits(w * static_cast<std::int64_t>(1 / form.min_ratio) - minimum);
  return bits(w * p.sub_scales[sub] + minimum);
}

std::int64_t signed_half(std::uint32_t bits, int half) {
  const std::int64_t value = bits >> 16 * half & 0xffff;
  return value < 0x8000 ? value : value - 0x10000;
}

/// The bits of a row's scales, 16 at a time, each times its factor.
std::uint32_t scale_number(const Problem& p, const IntegerForm& form, int row,
                           std::span<const std::int32_t> scale_factors) {
  std::int64_t number = 0;
  std::size_t pair = 0;
  const auto add = [&](float scale) {
    const std::uint32_t factors = bits(scale_factors[pair++]);
    if (form.half_scales) {
      number += signed_half(float_to_half(scale), 0) * signed_half(factors, row % 2);
      return;
    }
    const auto all = std::bit_cast<std::uint32_t>(scale);
    for (const int half : {0, 1}) number += signed_half(all, half) * signed_half(factors, half);
  };
  const int groups = p.columns / form.scale_elements;
  for (int g = row * groups; g < (row + 1) * groups; ++g) {
    add(p.scales[static_cast<std::size_t>(g)]);
    if (form.has_min && form.min_ratio == 0) add(p.min_scales[static_cast<std::size_t>(g)]);
  }
  return bits(number);
}

/// The side of the check that is known before the product.
struct Expected {
  std::vector<std::int32_t> columns;
  std::uint32_t constant = 0;
  Expected(const Problem& p, const ProductLine& line, const Weights& weights)
      : columns(static_cast<std::size_t>(p.columns)) {
    for (int row = 0; row < kRows; ++row) {
      constant += weights.of_scales(line.form, row) * kCheckStep *
                  scale_number(p, line.form, row, weights.scale_factors);
      for (int k = 0; k < p.columns; ++k) {
        auto& sum = columns[static_cast<std::size_t>(k)];
        sum = static_cast<std::int32_t>(bits(sum) + weights.of(row) * coefficient(p, line, row, k));
      }
    }
  }
  std::uint32_t of(const Problem& p, const IntegerForm& form, int token, bool alone) const {
    std::uint32_t sum = 0;
    for (int k = 0; k < p.columns; ++k) {
      if (alone && k % form.activation_elements == 0) sum *= kCheckStep;
      sum += bits(columns[static_cast<std::size_t>(k)]) *
             bits(p.x[static_cast<std::size_t>(token * p.columns + k)]);
    }
    return sum + constant;
  }
};

/// A product with its check, ready to run over panels that change.
struct Checked {
  Checked(const Problem& p, const ProductLine& product_line, int n_tokens,
          const Weights& row_weights)
      : line(product_line),
        tokens(n_tokens),
        x(interleave(p, line.form, n_tokens)),
        panels(pack(p, line.form, panel_bytes)),
        scratch(product_scratch_bytes(p.columns)),
        y(static_cast<std::size_t>(tokens * kRows)),
        lanes(static_cast<std::size_t>(tokens) * 16) {
    arguments = product_arguments(p, line, panels, panel_bytes, x, tokens);
    arguments.scratch = scratch.data();
    arguments.y = y.data();
    arguments.y_stride = kRows;
    arguments.check = {row_weights.lanes.data(), row_weights.factors.data(),
                       row_weights.scale_factors.data(), kFirstPanel, lanes.data()};
  }
  Checked(const Checked&) = delete;
  Checked& operator=(const Checked&) = delete;

  void run(const Kernels& kernels) {
    std::ranges::fill(lanes, 0);
    kernels.products[static_cast<int>(line.kind)](arguments);
  }
  std::uint32_t sum(int token) const {
    std::uint32_t total = 0;
    for (int i = 16 * token; i < 16 * token + 16; ++i)
      total += bits(lanes[static_cast<std::size_t>(i)]);
    return total;
  }
  bool alone(int token) const { return token_block(token, tokens).width == 1; }

  const ProductLine& line;
  int tokens;
  Activations x;
  std::size_t panel_bytes = 0;
  std::vector<std::uint8_t> panels, scratch;
  std::vector<float> y;
  std::vector<std::int32_t> lanes;
  ProductArguments arguments;
};

class ProductCheckTest : public testing::TestWithParam<std::size_t> {
 protected:
  const ProductLine& line() const { return kProductLines[GetParam()]; }
  Weights weights_;
};

TEST_P(ProductCheckTest, EveryInstructionSetAgreesAndKeepsItsBits) {
  for (const Fill fill : kFills) {
    const Problem p = make_problem(line(), fill);
    const Expected expected(p, line(), weights_);
    for (const int tokens : kCheckedTokens) {
      Checked checked(p, line(), tokens, weights_);
      for (const auto& [name, kernels] : tested_kernels()) {
        SCOPED_TRACE(fmt::format("{}, {} tokens, fill {}", name, tokens, static_cast<int>(fill)));
        checked.run(*kernels);
        const std::vector<float> with = checked.y;
        std::ranges::fill(checked.y, 0.0f);
        ProductArguments unchecked = checked.arguments;
        unchecked.check.sums = nullptr;
        kernels->products[static_cast<int>(line().kind)](unchecked);
        EXPECT_EQ(first_difference(with, checked.y), -1);
        for (int t = 0; t < tokens; ++t) {
          const std::uint32_t right = expected.of(p, line().form, t, checked.alone(t));
          ASSERT_EQ(checked.sum(t), right) << "token " << t;
          const TokenBlock block = token_block(t, tokens);
          const std::int32_t sum =
              kernels->check_sum({.q = checked.x.q.data() + block.first * p.columns,
                                  .columns = expected.columns.data(),
                                  .n = p.columns,
                                  .group = line().form.activation_elements,
                                  .width = block.width,
                                  .lane = static_cast<int>(t - block.first)});
          ASSERT_EQ(bits(sum) + expected.constant, right) << "token " << t;
        }
      }
    }
  }
}

/// Flips bits of the packed panels and asks that no changed output goes without an alarm.
class Flipper {
 public:
  Flipper(Checked& checked, const Kernels& kernels) : checked_(checked), kernels_(kernels) {
    checked_.run(kernels_);
    y_ = checked_.y;
    for (int t = 0; t < checked_.tokens; ++t) sums_.push_back(checked_.sum(t));
  }
  /// `each`: every token whose output has changed must alarm, else one of them.
  void flip(std::span<const std::size_t> where, bool each) {
    for (const std::size_t bit : where) toggle(bit);
    checked_.run(kernels_);
    for (const std::size_t bit : where) toggle(bit);
    ++tried;
    bool any_changed = false, any_alarm = false, silent = false;
    for (int t = 0; t < checked_.tokens; ++t) {
      const auto row = static_cast<std::size_t>(t * kRows);
      const bool changed = std::memcmp(&y_[row], &checked_.y[row], kRows * sizeof(float)) != 0;
      const bool alarm = checked_.sum(t) != sums_[static_cast<std::size_t>(t)];
      any_changed |= changed;
      any_alarm |= alarm;
      silent |= changed && !alarm;
    }
    changes += any_changed ? 1 : 0;
    if (each ? silent : any_changed && !any_alarm)
      ADD_FAILURE() << "bits " << where.front() << " to " << where.back() << " go unseen";
  }
  std::int64_t tried = 0;
  std::int64_t changes = 0;

 private:
  void toggle(std::size_t bit) {
    checked_.panels[bit / 8] = static_cast<std::uint8_t>(checked_.panels[bit / 8] ^ 1u << bit % 8);
  }
  Checked& checked_;
  const Kernels& kernels_;
  std::vector<float> y_;
  std::vector<std::uint32_t> sums_;
};

/// All bits of the last record of the last panel with the best kernels, every n-th with others.
TEST_P(ProductCheckTest, NoFlippedBitGoesUnseen) {
  const Problem p = make_problem(line(), Fill::random);
  for (const auto& [name, kernels] : tested_kernels()) {
    const bool best = kernels == tested_kernels().back().kernels;
    const bool slow = kernels->isa == Isa::scalar || name.find("emulated") != std::string::npos;
    for (const int tokens : {1, 5, 16}) {
      SCOPED_TRACE(fmt::format("{}, {} tokens", name, tokens));
      Checked checked(p, line(), tokens, weights_);
      checked.arguments = panels_from(checked.arguments, kPanels - 1);
      Flipper flipper(checked, *kernels);
      const std::size_t end = 8 * checked.panels.size();
      const std::size_t first = end - 8 * panel_layout(line().form).record_bytes;
      const std::size_t wanted =
          static_cast<std::size_t>(test_stride()) * (best   ? tokens == 16 ? 3 : 1
                                                     : slow ? 431
                                                            : 23);
      // A share needs some bits to be a share of; odd, or all were the lowest of their bytes.
      const std::size_t step = std::min(wanted, (end - first) / 16 | 1);
      for (std::size_t bit = first; bit < end; bit += step) flipper.flip({&bit, 1}, true);
      EXPECT_GT(flipper.changes, flipper.tried * 7 / 10) << "most weights count";
    }
  }
}

/// Two at once: anywhere, in one row, and the top bits of two scales, whose plain sum would not
/// change.
TEST_P(ProductCheckTest, NoTwoFlippedBitsGoUnseen) {
  const Problem p = make_problem(line(), Fill::random);
  const Kernels& kernels = *tested_kernels().back().kernels;
  const PanelLayout layout = panel_layout(line().form);
  Random random(GetParam());
  for (const int tokens : {1, 4}) {
    Checked checked(p, line(), tokens, weights_);
    Flipper flipper(checked, kernels);
    const std::size_t bits_in_all = 8 * checked.panels.size();
    for (int i = 0; i < 3000 / test_stride(); ++i) {
      const std::size_t anywhere[] = {random.below(bits_in_all), random.below(bits_in_all)};
      if (anywhere[0] != anywhere[1]) flipper.flip(anywhere, false);
      // The same bit of the same lane, records apart.
      const std::size_t records = checked.panel_bytes / layout.record_bytes;
      const std::size_t apart = 8 * layout.record_bytes * (1 + random.below(records - 1));
      const std::size_t low = random.below(8 * layout.record_bytes);
      const std::size_t same_row[] = {low, low + apart};
      flipper.flip(same_row, false);
      // The signs of the first scales of two neighbouring rows.
      const std::size_t scale_bits = line().form.half_scales ? 16 : 32;
      const std::size_t sign =
          8 * layout.record_bytes * random.below(records) + scale_bits * (1 + random.below(15)) - 1;
      const std::size_t two_rows[] = {sign, sign + scale_bits};
      flipper.flip(two_rows, false);
    }
  }
}

/// The other side can be wrong too: a column sum that has changed is seen by every activation that
/// is not zero.
TEST_P(ProductCheckTest, AChangedColumnSumIsSeen) {
  const Problem p = make_problem(line(), Fill::random);
  const Expected expected(p, line(), weights_);
  const Kernels& kernels = *tested_kernels().back().kernels;
  for (int k = 0; k < p.columns; ++k) {
    for (const int bit : {0, 7, 24}) {
      auto columns = expected.columns;
      columns[static_cast<std::size_t>(k)] ^= 1 << bit;
      const CheckSumArguments a{
          p.x.data(), columns.data(), p.columns, line().form.activation_elements, 1, 0};
      CheckSumArguments right = a;
      right.columns = expected.columns.data();
      EXPECT_EQ(kernels.check_sum(a) != kernels.check_sum(right),
                p.x[static_cast<std::size_t>(k)] != 0);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Lines, ProductCheckTest,
                         testing::Range<std::size_t>(0, std::size(kProductLines)),
                         [](const testing::TestParamInfo<std::size_t>& entry) {
                           return std::string(kProductLines[entry.param].name);
                         });

/// Sums of columns wrap and are the same on every instruction set.
TEST(ColumnSums, FollowTheRule) {
  constexpr std::size_t kColumns = 96;
  Random random(5);
  std::vector<std::uint8_t> q(kColumns);
  std::vector<std::int32_t> before(kColumns);
  std::uint32_t factors[6], constants[6];
  for (auto& v : q) v = static_cast<std::uint8_t>(random.next());
  for (auto& v : before) v = static_cast<std::int32_t>(random.next());
  for (auto& v : factors) v = static_cast<std::uint32_t>(random.next());
  for (auto& v : constants) v = static_cast<std::uint32_t>(random.next());
  for (const auto& [name, kernels] : tested_kernels()) {
    for (const std::size_t sub : {16u, 32u}) {
      auto columns = before;
      kernels->add_column_sums(
          {q.data(), kColumns, static_cast<int>(sub), factors, constants, columns.data()});
      for (std::size_t k = 0; k < kColumns; ++k)
        ASSERT_EQ(bits(columns[k]), bits(before[k]) + factors[k / sub] * q[k] + constants[k / sub])
            << name << " column " << k;
    }
  }
}

}  // namespace
}  // namespace checkbit
