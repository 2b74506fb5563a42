// Every rounding method with every format that it applies to: valid blocks, the same bytes for any
// number of threads, and no more loss than nearest rounding by the measure that the method is for.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "base/test_models.h"
#include "base/test_stride.h"
#include "file/model_file.h"
#include "quantize/rounding/block_coder.h"
#include "quantize/rounding/encode_rows.h"
#include "quantize/rounding/level_map.h"

namespace checkbit {
namespace {

constexpr std::int64_t kColumns = 512;
constexpr std::int64_t kRows = 70;  // a chunk and a part of one

/// Inputs as layers see them: few directions carry most, and a few columns are large.
SecondMoments made_up_moments(ThreadPool& pool, std::int64_t block = kColumns) {
  constexpr std::int64_t kTokens = 700, kDirections = 24;
  Random random(7);
  const auto normal = [&] {
    float sum = 0;
    for (int i = 0; i < 4; ++i) sum += random.uniform_float() - 0.5f;
    return sum;
  };
  std::vector<float> basis(kDirections * kColumns), x(kTokens * kColumns);
  for (float& b : basis) b = normal();
  for (std::int64_t t = 0; t < kTokens; ++t) {
    float weight[kDirections];
    for (float& w : weight) w = normal();
    for (std::int64_t c = 0; c < kColumns; ++c) {
      float value = 0.6f * normal();
      for (std::int64_t d = 0; d < kDirections; ++d)
        value += weight[d] * basis[static_cast<std::size_t>(d * kColumns + c)];
      x[static_cast<std::size_t>(t * kColumns + c)] = c % 97 == 0 ? 8 * value : value;
    }
  }
  SecondMoments moments{.columns = kColumns, .block = block};
  moments.values.resize(SecondMoments::floats(kColumns, block));
  for (std::int64_t b = 0; b < moments.blocks(); ++b)
    add_moments({x.data() + moments.begin(b), kColumns}, kTokens, moments.triangle(b),
                moments.width(b), pool);
  return moments;
}

/// What is rounded: seeded weights of many sizes, a row of zeros and one of equal values.
void made_up_row(std::int64_t row, float* out) {
  Random random(static_cast<std::uint64_t>(row) + 1);
  for (std::int64_t c = 0; c < kColumns; ++c) {
    const float u = 2 * random.uniform_float() - 1;
    out[c] = row == 3 ? 0 : row == 4 ? 0.25f : 0.05f * u * (0.2f + u * u);
  }
}

struct Made {
  std::vector<Metric> metrics;
  std::vector<float> importance;
  RoundingTask task;
};

Made made_task(const Format& format, ThreadPool& pool, std::int64_t block = kColumns) {
  static const SecondMoments whole = [] {
    ThreadPool one(1);
    return made_up_moments(one);
  }();
  const SecondMoments moments = block == kColumns ? whole : made_up_moments(pool, block);
  Made made;
  const Format* formats[] = {&format};
  const MetricOptions options = {.groups = metric_groups(formats)};
  for (std::int64_t b = 0; b < moments.blocks(); ++b) {
    auto metric = make_metric(moments, b, options, pool);
    EXPECT_TRUE(metric.ok());
    made.metrics.push_back(*std::move(metric));
  }
  for (const double e : moments.energies()) made.importance.push_back(static_cast<float>(e));
  made.task = {.format = &format, .rows = kRows, .columns = kColumns, .read_row = made_up_row};
  made.task.options.sweeps = 1;
  return made;
}

std::vector<std::uint8_t> rounded(const RoundingMethod& method, Made& made, ThreadPool& pool) {
  made.task.importance = made.importance;
  made.task.metrics = made.metrics;
  std::vector<std::uint8_t> out(static_cast<std::size_t>(kRows) * made.task.row_bytes());
  EXPECT_TRUE(method.round(made.task, pool, out.data()).ok());
  return out;
}

/// Weighted by column alone.
double energy_loss(const Made& made, const std::vector<std::uint8_t>& encoded) {
  const Format& format = *made.task.format;
  std::vector<float> in(kColumns), out(kColumns);
  double loss = 0;
  for (std::int64_t r = 0; r < kRows; ++r) {
    made_up_row(r, in.data());
    format.decode(encoded.data() + static_cast<std::size_t>(r) * made.task.row_bytes(),
                  static_cast<std::size_t>(kColumns / format.block_elements), out.data());
    for (std::size_t c = 0; c < in.size(); ++c)
      loss += double{made.importance[c]} * (in[c] - out[c]) * (in[c] - out[c]);
  }
  return loss;
}

TEST(Roundings, EveryMethodWithEveryFormatIsValidAndNoWorseThanNearest) {
  ThreadPool one(1), three(3);
  int n = 0;
  for (const Format* format : all_formats()) {
    if (!takes_feedback(*format) || kColumns % format->block_elements != 0) continue;
    if (n++ % test_stride() != 0) continue;
    Made made = made_task(*format, one);
    const auto nearest = rounded(*find_rounding("nearest"), made, one);
    const double nearest_loss = rounding_loss(
        [&] {
          made.task.metrics = made.metrics;
          return made.task;
        }(),
        one, nearest.data());
    for (const RoundingMethod* method : all_roundings()) {
      SCOPED_TRACE(std::string(format->name) + " " + std::string(method->name));
      const auto out = rounded(*method, made, one);
      EXPECT_EQ(out, rounded(*method, made, three));
      for (std::size_t at = 0; at < out.size(); at += static_cast<std::size_t>(format->block_bytes))
        ASSERT_TRUE(format->is_finite(out.data() + at)) << at;
      if (method->uses_moments) {
        EXPECT_LT(rounding_loss(made.task, one, out.data()), nearest_loss);
      } else {
        EXPECT_LE(energy_loss(made, out), energy_loss(made, nearest) * 1.0001);
      }
    }
  }
  EXPECT_GT(n, 15);
}

TEST(Roundings, NamesAreUniqueAndFound) {
  for (const RoundingMethod* method : all_roundings()) {
    EXPECT_EQ(find_rounding(method->name), method);
    EXPECT_FALSE(method->summary.empty()) << method->name;
    EXPECT_NE(method->round, nullptr) << method->name;
  }
  EXPECT_EQ(find_rounding("no such"), nullptr);
}

TEST(Roundings, DescentNeverLosesWhatFeedbackGained) {
  ThreadPool pool(2);
  for (const char* name : {"Q2_K", "Q4_0", "IQ2_S", "CB3", "IQ4_NL", "CT2"}) {
    Made made = made_task(*find_format(name), pool);
    const auto feedback = rounded(*find_rounding("feedback"), made, pool);
    const auto descent = rounded(*find_rounding("descent"), made, pool);
    EXPECT_LE(rounding_loss(made.task, pool, descent.data()),
              rounding_loss(made.task, pool, feedback.data()))
        << name;
  }
}

/// The first rows and columns of a matrix of a real model.
TEST(Roundings, NoMethodWithMomentsLosesMoreThanNearestOnRealWeights) {
  const auto file = ModelFile::open(pulled_model("smollm2-135m"));
  if (!file.ok()) GTEST_SKIP() << "checkbit pull smollm2-135m";
  const ModelTensor* tensor = file->find("blk.7.ffn_down.weight");
  ASSERT_NE(tensor, nullptr);
  const GgufTensor& info = tensor->info;
  ThreadPool pool(2);
  for (const char* name : {"Q2_K", "CB2", "IQ3_XXS", "Q4_0", "CT2", "CT3"}) {
    Made made = made_task(*find_format(name), pool);
    made.task.read_row = [&](std::int64_t row, float* out) {
      info.format->decode(tensor->bytes.data() + static_cast<std::uint64_t>(row) * info.row_bytes(),
                          static_cast<std::size_t>(kColumns / info.format->block_elements), out);
    };
    const auto nearest = rounded(*find_rounding("nearest"), made, pool);
    const double least = rounding_loss(made.task, pool, nearest.data());
    for (const RoundingMethod* method : all_roundings()) {
      if (!method->uses_moments) continue;
      const auto out = rounded(*method, made, pool);
      EXPECT_LT(rounding_loss(made.task, pool, out.data()), 0.9 * least)
          << name << " " << method->name;
    }
  }
}

TEST(Roundings, MomentsInBlocksWorkToo) {
  ThreadPool pool(2);
  Made made = made_task(*find_format("Q3_K"), pool, 256);
  ASSERT_EQ(made.metrics.size(), 2);
  const auto nearest = rounded(*find_rounding("nearest"), made, pool);
  const auto feedback = rounded(*find_rounding("feedback"), made, pool);
  EXPECT_LT(rounding_loss(made.task, pool, feedback.data()),
            rounding_loss(made.task, pool, nearest.data()));
}

/// What the factor charges is what the definition says, summed here in double over all pairs.
TEST(Roundings, LossIsTheQuadraticForm) {
  ThreadPool pool(2);
  const Format& format = *find_format("Q4_0");
  Made made = made_task(format, pool);
  const auto out = rounded(*find_rounding("weighted"), made, pool);
  const Metric& metric = made.metrics[0];
  double expected = 0;
  std::vector<float> in(kColumns), back(kColumns);
  for (std::int64_t r = 0; r < kRows; ++r) {
    made_up_row(r, in.data());
    format.decode(out.data() + static_cast<std::size_t>(r) * made.task.row_bytes(), kColumns / 32,
                  back.data());
    const auto error = [&](std::size_t p) {
      const auto c = static_cast<std::size_t>(metric.order[p]);
      return double{in[c]} - double{back[c]};
    };
    for (std::size_t i = 0; i < kColumns; ++i) {
      for (std::size_t j = 0; j < kColumns; ++j)
        expected += error(i) * metric.moments[i * kColumns + j] * error(j);
    }
  }
  EXPECT_NEAR(rounding_loss(made.task, pool, out.data()) / expected, 1, 1e-3);
}

TEST(LevelMap, FindsTheBitsOfPlainIntegersAndRefusesLattices) {
  for (const char* name : {"Q2_K", "Q3_K", "Q4_0", "Q4_1", "Q4_K", "Q5_0", "Q5_1", "Q5_K", "Q6_K",
                           "Q8_0", "IQ4_NL", "IQ4_XS", "CB2", "CB3", "CB4", "MXFP4"}) {
    const Format& format = *find_format(name);
    const auto map = LevelMap::find(format);
    ASSERT_TRUE(map.has_value()) << name;
    std::vector<std::uint8_t> block(static_cast<std::size_t>(format.block_bytes));
    Random random(5);
    for (auto& byte : block) byte = static_cast<std::uint8_t>(random.next() & 0x3f);
    IntegerBlock before, after;
    format.unpack(block.data(), before);
    std::vector<std::uint8_t> q(static_cast<std::size_t>(format.block_elements));
    for (auto& level : q)
      level = static_cast<std::uint8_t>(random.next() & ((1u << format.integer.bits) - 1));
    map->write(q.data(), block.data());
    format.unpack(block.data(), after);
    EXPECT_TRUE(std::equal(q.begin(), q.end(), after.q.begin())) << name;
    EXPECT_EQ(before.scale[0], after.scale[0]) << name;
  }
  for (const char* name :
       {"IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "TQ1_0", "F16"})
    EXPECT_FALSE(LevelMap::find(*find_format(name)).has_value()) << name;
}

TEST(Dense, ProductsAreTheSumsInOrder) {
  constexpr std::int64_t kDepth = 300, kA = 37, kB = 291;
  std::vector<float> a(kDepth * kA), b(kDepth * kB), c(kA * kB, 0.5f);
  Random random(3);
  for (float& v : a) v = random.uniform_float() - 0.5f;
  for (float& v : b) v = random.uniform_float() - 0.5f;
  std::vector<float> expected = c;
  for (std::size_t i = 0; i < kA; ++i) {
    for (std::size_t j = 0; j < kB; ++j) {
      for (std::size_t k = 0; k < kDepth; ++k)
        expected[i * kB + j] += a[k * kA + i] * b[k * kB + j];
    }
  }
  add_products({a.data(), kA}, {b.data(), kB}, kDepth, c.data(), kB, kA, kB);
  EXPECT_EQ(c, expected);  // to the bit
  add_products({a.data(), kA}, {b.data(), kB}, kDepth, c.data(), kB, kA, kB, true);
  for (const float v : c) EXPECT_NEAR(v, 0.5f, 1e-4f);
}

TEST(Dense, TheFactorMultipliesBack) {
  constexpr std::int64_t kN = 150, kDepth = 200;
  ThreadPool pool(3);
  std::vector<float> x(kDepth * kN), h(kN * kN, 0);
  Random random(4);
  for (float& v : x) v = random.uniform_float() - 0.3f;
  add_moments({x.data(), kN}, kDepth, h.data(), kN, pool);
  Factor factor;
  ASSERT_TRUE(factorize(h, kN, pool, factor));
  for (std::size_t i = 0; i < kN; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      double sum = 0;
      for (std::size_t k = 0; k <= j; ++k)
        sum += double{factor.unit[i * kN + k]} * factor.weight[k] * factor.unit[j * kN + k];
      EXPECT_NEAR(sum, h[i * kN + j], 1e-3) << i << " " << j;
    }
  }
  h[10 * kN + 10] = -1;
  EXPECT_FALSE(factorize(h, kN, pool, factor));
}

TEST(Metric, GroupsStayTogetherAndTheLargestEnergyIsRoundedFirst) {
  ThreadPool pool(1);
  const SecondMoments moments = made_up_moments(pool);
  const MetricOptions options = {.groups = {256, 32, 8}};
  const auto metric = make_metric(moments, 0, options, pool);
  ASSERT_TRUE(metric.ok());
  for (std::size_t at = 0; at < kColumns; at += 8) {
    const int group = metric->order[at] / 8;
    for (std::size_t i = at; i < at + 8; ++i) EXPECT_EQ(metric->order[i] / 8, group);
  }
  std::vector<int> sorted = metric->order;
  std::ranges::sort(sorted);
  for (int i = 0; i < kColumns; ++i) EXPECT_EQ(sorted[static_cast<std::size_t>(i)], i);
}

TEST(Metric, MomentsThatAreNoNumbersAreRefused) {
  ThreadPool pool(1);
  SecondMoments moments = made_up_moments(pool);
  moments.values[5 * kColumns + 5] = NAN;
  const auto metric = make_metric(moments, 0, {.groups = {32}}, pool);
  ASSERT_FALSE(metric.ok());
  EXPECT_NE(metric.error().message.find("not finite"), std::string::npos);
}

}  // namespace
}  // namespace checkbit
