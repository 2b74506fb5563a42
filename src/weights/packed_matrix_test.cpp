// Packed matrices of every format against decode() and sums in double; packed or straight from the
// file, whole or in parts, the same bits.

#include "weights/packed_matrix.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <set>

#include "base/float16.h"
#include "base/random.h"
#include "formats/format.h"

namespace checkbit {
namespace {

constexpr std::int64_t kTokens = 3;

/// A tensor of `rows` x `columns` with its bytes. Block bytes are random where the format cannot
/// encode, with scales that are finite.
struct Source {
  std::vector<std::uint8_t> bytes;
  ModelTensor tensor;
  std::vector<float> decoded;  ///< [rows][columns]
};

/// Random bytes whose decoded values are modest: a product then has no overflow to hide an error.
void random_block(const Format& format, Random& random, std::uint8_t* block) {
  std::vector<float> values(static_cast<std::size_t>(format.block_elements));
  if (format.block_elements == 1) {  // an integer type: one byte of it keeps the number small
    std::fill(block, block + format.block_bytes, std::uint8_t{0});
    block[0] = static_cast<std::uint8_t>(random.below(128));
    return;
  }
  for (int tries = 0; tries < 1000; ++tries) {
    for (int i = 0; i < format.block_bytes; ++i)
      block[i] = static_cast<std::uint8_t>(random.below(256));
    if (format.is_finite != nullptr && !format.is_finite(block)) continue;
    format.decode(block, 1, values.data());
    if (std::ranges::all_of(values,
                            [](float v) { return std::isfinite(v) && std::fabs(v) < 1e3f; }))
      return;
  }
  ADD_FAILURE() << format.name << ": no modest block found";
}

void fill_source(Source& s, const Format& format, std::int64_t rows, std::int64_t columns) {
  s.tensor.info.name = "w";
  s.tensor.info.format = &format;
  s.tensor.info.dimensions = {static_cast<std::uint64_t>(columns),
                              static_cast<std::uint64_t>(rows)};
  const std::size_t row_bytes = s.tensor.info.row_bytes();
  const auto blocks = static_cast<std::size_t>(rows * columns / format.block_elements);
  s.bytes.resize(row_bytes * static_cast<std::size_t>(rows));
  Random random(format.type_id);
  if (format.encode != nullptr) {
    std::vector<float> values(static_cast<std::size_t>(rows * columns));
    for (float& v : values) v = (2 * random.uniform_float() - 1) * 0.1f;
    format.encode(values.data(), blocks, nullptr, s.bytes.data());
  } else {
    for (std::size_t b = 0; b < blocks; ++b) {
      random_block(format, random,
                   s.bytes.data() + b * static_cast<std::size_t>(format.block_bytes));
    }
  }
  s.tensor.info.size_bytes = s.bytes.size();
  s.tensor.bytes = s.bytes;
  s.decoded.resize(static_cast<std::size_t>(rows * columns));
  format.decode(s.bytes.data(), blocks, s.decoded.data());
}

std::vector<float> activations(std::int64_t columns) {
  Random random(77);
  std::vector<float> x(static_cast<std::size_t>(kTokens * columns));
  for (float& v : x) v = 2 * random.uniform_float() - 1;
  return x;
}

/// y [kTokens][whole panels], the panels cut into ranges of `step`. `differences`, if given: of
/// both sides of the check, per token.
std::vector<float> multiply(const PackedMatrix& m, const std::vector<float>& x,
                            std::int64_t step = 1 << 20,
                            std::vector<std::uint32_t>* differences = nullptr) {
  const Kernels& kernels = kernels_for(*select_isa());
  ActivationRows rows{x.data(), m.columns(), kTokens, {}};
  std::vector<std::int8_t> q(x.size());
  std::vector<float> scales(x.size());
  std::vector<std::int32_t> starts(x.size()), mins(x.size());
  if (m.quantizes()) {
    const ActivationForm form = m.activation_form();
    for (std::int64_t t = 0; t < kTokens; ++t) {  // three tokens: blocks of one
      kernels.quantize_activations(
          {.x = x.data() + t * m.columns(),
           .columns = m.columns(),
           .form = form,
           .width = 1,
           .lane = 0,
           .q = q.data() + t * m.columns(),
           .scales = scales.data() + t * scales_per_token(form, m.columns()),
           .starts = starts.data() + t * starts_per_token(form, m.columns()),
           .mins = mins.data() + t * mins_per_token(form, m.columns())});
    }
    rows.quantized = {q.data(), scales.data(), starts.data(), mins.data()};
  }
  std::vector<std::uint8_t> scratch(m.scratch_bytes());
  const std::int64_t stride = m.panels() * kPanelRows;
  std::vector<float> y(static_cast<std::size_t>(kTokens * stride), 99.0f);
  std::vector<std::int32_t> lanes(16 * kTokens);
  for (std::int64_t p = 0; p < m.panels(); p += step) {
    m.multiply_checked(kernels, rows, p, std::min(p + step, m.panels()), y.data(), stride,
                       scratch.data(), differences == nullptr ? nullptr : lanes.data());
  }
  for (std::int64_t t = 0; differences != nullptr && t < kTokens; ++t) {
    const ColumnSums& sums = m.check_sums();
    std::uint32_t difference = 0u - sums.constant;
    for (int lane = 0; lane < 16; ++lane)
      difference += static_cast<std::uint32_t>(lanes[static_cast<std::size_t>(16 * t + lane)]);
    difference -=
        static_cast<std::uint32_t>(kernels.check_sum({.q = q.data() + t * m.columns(),
                                                      .columns = sums.columns.data(),
                                                      .n = m.columns(),
                                                      .group = m.activation_form().group}));
    differences->push_back(difference);
  }
  return y;
}

/// Compares with double sums over decode(); `share` is of the sum of the terms' magnitudes, the
/// natural measure of a sum's error.
void expect_close(const Source& s, const std::vector<float>& x, const std::vector<float>& y,
                  double share) {
  const std::uint64_t rows = s.tensor.info.rows();
  const std::uint64_t columns = s.tensor.info.columns();
  const std::size_t stride = y.size() / kTokens;
  for (std::size_t t = 0; t < kTokens; ++t) {
    for (std::size_t row = 0; row < stride; ++row) {
      double sum = 0;
      double size = 0;
      for (std::size_t c = 0; row < rows && c < columns; ++c) {
        const double term = double{s.decoded[row * columns + c]} * x[t * columns + c];
        sum += term;
        size += std::abs(term);
      }
      ASSERT_NEAR(y[t * stride + row], sum, share * size) << "token " << t << ", row " << row;
    }
  }
}

class Matrix : public testing::TestWithParam<const Format*> {
 protected:
  ThreadPool pool_{2};
  PackedMatrix create(const Source& s, bool repack, ActivationMode activations) {
    auto m = PackedMatrix::create(s.tensor, {.repack = repack, .activations = activations}, pool_);
    EXPECT_TRUE(m.ok()) << m.error().message;
    return *std::move(m);
  }
};

TEST_P(Matrix, AgreesWithDecodeAndWithItself) {
  const Format& format = *GetParam();
  const std::int64_t columns = std::max(3 * format.block_elements, 96);
  const auto x = activations(columns);
  for (const std::int64_t rows : {1, 15, 16, 17, 70}) {
    Source s;
    fill_source(s, format, rows, columns);
    for (const ActivationMode mode : {ActivationMode::f32, ActivationMode::int8}) {
      SCOPED_TRACE(fmt::format("{} rows, {} activations", rows,
                               mode == ActivationMode::f32 ? "float" : "8-bit"));
      const PackedMatrix packed = create(s, true, mode);
      EXPECT_EQ(packed.panels(), (rows + 15) / 16);
      EXPECT_EQ(packed.quantizes(), packed.path() != "float");
      EXPECT_FALSE(mode == ActivationMode::f32 && packed.quantizes());
      const auto y = multiply(packed, x);
      // Float sums over some hundred columns; 8-bit activations lie within 1/254 of their group's
      // largest.
      expect_close(s, x, y, packed.quantizes() ? 8e-3 : 1e-5);
      for (std::size_t t = 0; t < kTokens; ++t) {
        for (std::size_t row = static_cast<std::size_t>(rows); row < y.size() / kTokens; ++row) {
          ASSERT_EQ(y[t * (y.size() / kTokens) + row], 0.0f) << "a row beyond the last is not zero";
        }
      }
      const PackedMatrix mapped = create(s, false, mode);
      EXPECT_EQ(mapped.packed_bytes(), 0u);
      EXPECT_EQ(multiply(mapped, x), y) << "straight from the file";
      EXPECT_EQ(multiply(packed, x, 1), y) << "panel by panel";
      EXPECT_EQ(multiply(mapped, x, 2), y) << "two panels at a time";
    }
  }
}

TEST_P(Matrix, RowsDecodeAsTheFormatSays) {
  const Format& format = *GetParam();
  const std::int64_t columns = 2 * format.block_elements;
  Source s;
  fill_source(s, format, 17, columns);
  const PackedMatrix m = create(s, true, ActivationMode::int8);
  std::vector<float> row(static_cast<std::size_t>(columns));
  for (const std::int64_t r : {0, 5, 16}) {
    m.decode_row(r, row.data());
    const auto* expected = s.decoded.data() + r * columns;
    EXPECT_EQ(std::memcmp(row.data(), expected, row.size() * sizeof(float)), 0) << r;
  }
}

TEST_P(Matrix, TakesTheMemoryItSays) {
  const Format& format = *GetParam();
  const std::int64_t columns = std::max(2 * format.block_elements, 64);
  Source s;
  fill_source(s, format, 33, columns);
  const PackedMatrix m = create(s, true, ActivationMode::int8);
  const std::uint64_t planned = PackedMatrix::packed_bytes_for(format, 33, columns);
  // Block formats on the float path stay in the file; everything else takes exactly what was
  // planned.
  if (m.packed_bytes() != 0) {
    EXPECT_EQ(m.packed_bytes(), planned);
  }
  EXPECT_EQ(m.packed_bytes() == 0, m.path() == "float" && format.block_elements > 1);
}

/// Which kind of product each format runs on, as documented for users. A format that moves to a
/// slower kind must be noticed.
TEST_P(Matrix, PathIsTheExpectedOne) {
  static const std::map<std::string_view, std::string_view> kPaths = {
      {"Q4_0", "integer"},    {"Q4_1", "integer"},   {"Q5_0", "integer"},   {"Q5_1", "integer"},
      {"Q8_0", "integer"},    {"Q2_K", "integer"},   {"Q3_K", "integer"},   {"Q4_K", "integer"},
      {"Q5_K", "integer"},    {"Q6_K", "integer"},   {"IQ4_NL", "integer"}, {"IQ4_XS", "integer"},
      {"TQ1_0", "integer"},   {"TQ2_0", "integer"},  {"MXFP4", "integer"},  {"NVFP4", "integer"},
      {"Q1_0", "integer"},    {"CB2", "integer"},    {"CB3", "integer"},    {"CB4", "integer"},
      {"CT2", "integer"},     {"CT3", "integer"},
      {"IQ2_XXS", "integer"}, {"IQ2_XS", "integer"}, {"IQ2_S", "integer"},  {"IQ3_XXS", "integer"},
      {"IQ1_S", "widened"},   {"IQ1_M", "widened"},  {"IQ3_S", "widened"}};
  const Format& format = *GetParam();
  Source s;
  fill_source(s, format, 1, std::max(2 * format.block_elements, 64));
  const auto found = kPaths.find(format.name);
  const std::string_view expected = found == kPaths.end() ? "float" : found->second;
  EXPECT_EQ(create(s, true, ActivationMode::int8).path(), expected);
  EXPECT_EQ(create(s, true, ActivationMode::f32).path(), "float");
}

std::vector<const Format*> readable_formats() {
  std::vector<const Format*> formats;
  for (const Format* f : all_formats()) {
    if (f->decode != nullptr) formats.push_back(f);
  }
  return formats;
}

/// Sums made from the file's blocks and sums of the product over packed bytes, for every format.
TEST_P(Matrix, AgreesWithItsCheckUntilABitChanges) {
  Source s;
  fill_source(s, *GetParam(), 37, 512);
  const auto x = activations(512);
  const CheckWeights weights(4711, 70, 512);
  for (const bool repack : {true, false}) {
    auto m = PackedMatrix::prepare(s.tensor, {.repack = repack});
    ASSERT_TRUE(m.ok()) << m.error().message;
    if (!m->quantizes()) return;
    m->enable_check(weights, ProductCheck::kPeriod - 1);
    m->pack(pool_);
    EXPECT_EQ(m->check_sums(), m->sum_columns(0, m->panels()));
    std::vector<std::uint32_t> differences;
    const auto y = multiply(*m, x, 2, &differences);
    EXPECT_EQ(differences, std::vector<std::uint32_t>(kTokens));
    EXPECT_EQ(y, multiply(*m, x));
    s.bytes[s.bytes.size() / 2] ^= 0x10;  // what was packed, or is packed in the product
    if (repack) const_cast<std::uint8_t&>(m->packed_from(1)[m->packed_bytes() / 3]) ^= 0x10;
    differences.clear();
    const auto changed = multiply(*m, x, 2, &differences);
    s.bytes[s.bytes.size() / 2] ^= 0x10;
    const bool agrees = differences == std::vector<std::uint32_t>(kTokens);
    EXPECT_TRUE(changed == y || !agrees) << "a changed product goes unseen";
    EXPECT_TRUE(changed != y || !repack) << "nothing was changed";
  }
}

TEST(CheckWeights, AreOddSecretAndDrawnAgain) {
  CheckWeights weights(1, 200, 512);
  const CheckWeights same(1, 200, 512), other(2, 200, 512);
  int equal = 0;
  for (int panel = 0; panel < 200; ++panel) {
    for (int lane = 0; lane < kPanelRows; ++lane) {
      EXPECT_EQ(weights.of(panel, lane) % 2, 1u);
      EXPECT_EQ(weights.of(panel, lane), same.of(panel, lane));
      equal += weights.of(panel, lane) == other.of(panel, lane) ? 1 : 0;
    }
  }
  EXPECT_LT(equal, 3);
  EXPECT_FALSE(weights.restore());
  const ProductCheck check = weights.product(0, nullptr);
  const_cast<std::int32_t*>(check.lane_weights)[5] ^= 2;
  EXPECT_NE(weights.of(0, 5), same.of(0, 5));
  EXPECT_TRUE(weights.restore());
  EXPECT_EQ(weights.of(0, 5), same.of(0, 5));
  const_cast<std::int32_t*>(weights.product(0, nullptr).scale_factors)[7] ^= 4;
  EXPECT_TRUE(weights.restore());
  EXPECT_EQ(weights.scale_factors(7), same.scale_factors(7));
}

/// No two flips of one bit in the scales of a row cancel: factors are odd, and neither equal nor
/// opposite.
TEST(CheckWeights, FactorsOfScalesAreAllDifferent) {
  const CheckWeights weights(3, 1, std::int64_t{16} << 13);
  std::set<int> seen;
  for (std::size_t pair = 0; pair < std::size_t{1} << 13; ++pair) {
    const std::int32_t both = weights.scale_factors(pair);
    for (const int factor :
         {static_cast<std::int16_t>(both), static_cast<std::int16_t>(both >> 16)}) {
      EXPECT_NE(factor % 2, 0);
      EXPECT_TRUE(seen.insert(std::abs(factor)).second) << factor;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, Matrix, testing::ValuesIn(readable_formats()),
                         [](const auto& entry) { return std::string(entry.param->name); });

TEST(PackedMatrix, ARecordThatDoesNotFillARowGoesFloat) {
  const Format& format = *find_format("NVFP4");
  ThreadPool pool(1);
  Source s;
  fill_source(s, format, 3, format.block_elements);
  ASSERT_EQ(
      s.tensor.info.columns() % static_cast<std::uint64_t>(format.integer.activation_elements), 0u);
  EXPECT_EQ(PackedMatrix::create(s.tensor, {}, pool)->path(), "integer");
  const Format& f16 = *find_format("F16");
  Source odd;
  fill_source(odd, f16, 5, 37);
  const auto m = PackedMatrix::create(odd.tensor, {}, pool);
  ASSERT_TRUE(m.ok());
  const auto x = activations(37);
  expect_close(odd, x, multiply(*m, x), 1e-5);
}

TEST(PackedMatrix, SourceBytesAreGivenBackOnce) {
  const Format& format = *find_format("Q4_0");
  ThreadPool pool(2);
  Source s;
  fill_source(s, format, 40, 64);
  std::size_t dropped = 0;
  const TensorSource source = {.drop =
                                   [&](std::span<const std::uint8_t> bytes) {
                                     EXPECT_GE(bytes.data(), s.bytes.data());
                                     EXPECT_LE(bytes.data() + bytes.size(),
                                               s.bytes.data() + s.bytes.size());
                                     dropped += bytes.size();
                                   },
                               .copy = {}};
  ASSERT_TRUE(PackedMatrix::create(s.tensor, {}, pool, source).ok());
  EXPECT_EQ(dropped, s.bytes.size());
  const auto mapped = PackedMatrix::create(s.tensor, {.repack = false}, pool, source);
  EXPECT_EQ(dropped, s.bytes.size()) << "nothing was read";
  multiply(*mapped, activations(64), 1);
  EXPECT_EQ(dropped, 2 * s.bytes.size());
}

TEST(PackedMatrix, ALookUpCopiesItsRowOrReadsTheMap) {
  const Format& format = *find_format("Q4_0");
  ThreadPool pool(1);
  Source s;
  fill_source(s, format, 40, 64);
  bool can_copy = true;
  std::size_t copied = 0, dropped = 0;
  const TensorSource source = {
      .drop = [&](std::span<const std::uint8_t> bytes) { dropped += bytes.size(); },
      .copy =
          [&](std::span<const std::uint8_t> bytes, std::uint8_t* out) {
            if (!can_copy) return false;
            copied += bytes.size();
            std::ranges::copy(bytes, out);
            return true;
          }};
  const auto m = PackedMatrix::create(s.tensor, {.repack = false}, pool, source);
  ASSERT_TRUE(m.ok());
  std::vector<float> expected(64), row(64);
  const std::size_t row_bytes = s.tensor.info.row_bytes();
  for (const bool copies : {true, false}) {
    can_copy = copies;
    m->decode_row(7, expected.data());
    m->look_up_row(7, row.data());
    EXPECT_EQ(row, expected) << copies;
    EXPECT_EQ(copied, row_bytes) << "once, when it can";
    EXPECT_EQ(dropped, copies ? 0 : row_bytes) << "read from the map, and given back";
  }
}

}  // namespace
}  // namespace checkbit
