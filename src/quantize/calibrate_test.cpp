// Calibration on tiny models: what is measured does not depend on how it is batched or where the
// weights lie, and noise does what is said of it.

#include "quantize/calibrate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "run/session.h"

namespace checkbit {
namespace {

using ::testing::HasSubstr;

constexpr CalibrateOptions kShort = {.statistics_tokens = 64, .probe_tokens = 20};

Session open_tiny(bool repack, const std::string& name = "llama-yarn") {
  auto session =
      Session::open(std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/" + name + ".gguf",
                    {.context_tokens = 128, .threads = 2, .repack = repack});
  EXPECT_TRUE(session.ok()) << session.error().message;
  return *std::move(session);
}

std::vector<TokenId> some_text(std::size_t tokens) {
  std::vector<TokenId> text;
  for (std::size_t i = 0; i < tokens; ++i) text.push_back(static_cast<TokenId>(3 + i * 37 % 90));
  return text;
}

Result<Calibrator> make(Session& session, std::span<const TokenId> text,
                        const CalibrateOptions& options = kShort) {
  return Calibrator::create(session.model(), kernels_for(session.isa()), session.pool(), text,
                            options);
}

Calibration measured(Session& session, const CalibrateOptions& options = kShort) {
  const std::vector<TokenId> text = some_text(80);
  auto calibrator = make(session, text, options);
  EXPECT_TRUE(calibrator.ok()) << calibrator.error().message;
  auto calibration = calibrator->measure();
  EXPECT_TRUE(calibration.ok()) << calibration.error().message;
  return *std::move(calibration);
}

void expect_same(const Calibration& a, const Calibration& b) {
  ASSERT_EQ(a.uses.size(), b.uses.size());
  for (const auto& [name, uses] : a.uses) {
    const auto other = b.uses.find(name);
    ASSERT_NE(other, b.uses.end()) << name;
    ASSERT_EQ(uses.size(), other->second.size()) << name;
    for (std::size_t u = 0; u < uses.size(); ++u) {
      EXPECT_EQ(uses[u].use, other->second[u].use) << name;
      EXPECT_EQ(uses[u].column_energy, other->second[u].column_energy) << name;
      EXPECT_EQ(uses[u].output_energy, other->second[u].output_energy) << name;
      EXPECT_EQ(uses[u].sensitivity, other->second[u].sensitivity) << name;
    }
  }
}

TEST(Calibrate, EveryMatrixHasAPositiveSensitivity) {
  for (const char* name : {"llama-yarn", "gemma3-window", "qwen2-bias", "qwen3-norms"}) {
    Session session = open_tiny(false, name);
    const Calibration calibration = measured(session);
    EXPECT_EQ(calibration.tokens, kShort.statistics_tokens);
    for (const ModelTensor& tensor : session.file().tensors()) {
      if (tensor.info.rows() == 1) continue;
      const auto uses = calibration.uses.find(tensor.info.name);
      ASSERT_NE(uses, calibration.uses.end()) << name << ": " << tensor.info.name;
      for (const TensorUse& use : uses->second) {
        EXPECT_GT(use.sensitivity, 0) << name << ": " << tensor.info.name;
        EXPECT_GT(use.output_energy, 0) << name << ": " << tensor.info.name;
        EXPECT_EQ(use.column_energy.size(),
                  use.use.kind == StepKind::embed ? 0 : tensor.info.columns());
      }
    }
  }
}

TEST(Calibrate, DoesNotDependOnHowManyProbesShareAPass) {
  Session session = open_tiny(false);
  const Calibration many = measured(session);
  CalibrateOptions one_by_one = kShort;
  one_by_one.logits_bytes = 1;
  expect_same(many, measured(session, one_by_one));
}

TEST(Calibrate, FromTheMapIsTheSameAsFromPackedWeights) {
  Session mapped = open_tiny(false);
  Session packed = open_tiny(true);
  expect_same(measured(mapped), measured(packed));
}

TEST(Calibrate, DivergenceIsZeroWithoutNoiseAndGrowsWithIt) {
  Session session = open_tiny(false);
  const Calibration calibration = measured(session);
  const std::vector<TokenId> text = some_text(80);
  auto calibrator = make(session, text);
  ASSERT_TRUE(calibrator.ok());
  const auto none = calibrator->divergence({});
  ASSERT_TRUE(none.ok()) << none.error().message;
  EXPECT_EQ(*none, 0);
  double before = 0;
  for (const double variance : {0.001, 0.01, 0.1, 1.0}) {
    UseNoise noise;
    for (const auto& [name, uses] : calibration.uses) {
      for (const TensorUse& use : uses) noise[use.use] = variance * use.output_energy;
    }
    const auto divergence = calibrator->divergence(noise);
    ASSERT_TRUE(divergence.ok());
    EXPECT_GT(*divergence, before) << variance;
    before = *divergence;
  }
}

TEST(Calibrate, DivergenceDoesNotDependOnHowTheTextIsCut) {
  Session session = open_tiny(false);
  const Calibration calibration = measured(session);
  const std::vector<TokenId> text = some_text(80);
  const TensorUse& use = calibration.uses.begin()->second.front();
  std::vector<double> found;
  for (const std::size_t logits_bytes : {std::size_t{1}, kShort.logits_bytes}) {
    CalibrateOptions options = kShort;
    options.logits_bytes = logits_bytes;
    auto calibrator = make(session, text, options);
    ASSERT_TRUE(calibrator.ok());
    const auto divergence = calibrator->divergence({{use.use, 0.01 * use.output_energy}});
    ASSERT_TRUE(divergence.ok());
    found.push_back(*divergence);
  }
  EXPECT_EQ(found[0], found[1]);
}

TEST(Calibrate, OneUseAloneGivesItsSensitivityBack) {
  Session session = open_tiny(false);
  constexpr CalibrateOptions kSameText = {
      .statistics_tokens = 20, .probe_tokens = 20, .unscored_tokens = 0};
  const Calibration calibration = measured(session, kSameText);
  const std::vector<TokenId> text = some_text(80);
  auto calibrator = make(session, text, kSameText);
  ASSERT_TRUE(calibrator.ok());
  const TensorUse& use = calibration.uses.begin()->second.front();
  const auto small = calibrator->divergence({{use.use, 0.01 * use.output_energy}});
  ASSERT_TRUE(small.ok());
  EXPECT_NEAR(*small, 0.01 * use.sensitivity, 1e-9 * use.sensitivity);
  const auto fourfold = calibrator->divergence({{use.use, 0.04 * use.output_energy}});
  ASSERT_TRUE(fourfold.ok());
  EXPECT_NEAR(*fourfold / *small, 4, 1);  // in proportion while it is small
}

TEST(Calibrate, TheStartOfTheTextIsNotScored) {
  Session session = open_tiny(false);
  const Calibration calibration = measured(session);
  const std::vector<TokenId> text = some_text(80);
  UseNoise noise;
  for (const auto& [name, uses] : calibration.uses) {
    for (const TensorUse& use : uses) noise[use.use] = 0.1 * use.output_energy;
  }
  const auto over = [&](std::size_t tokens, std::size_t unscored) {
    auto calibrator =
        make(session, text,
             {.statistics_tokens = tokens, .probe_tokens = 20, .unscored_tokens = unscored});
    EXPECT_TRUE(calibrator.ok());
    const auto divergence = calibrator->divergence(noise);
    EXPECT_TRUE(divergence.ok());
    return *divergence;
  };
  // Means over 40 tokens, over the first 20 and over the others.
  EXPECT_NEAR(over(40, 0), (over(20, 0) + over(40, 20)) / 2, 1e-9);
  EXPECT_NE(over(20, 0), over(40, 20));
  EXPECT_EQ(over(40, 20), over(40, 1000)) << "half is the most";
}

TEST(Calibrate, ATextThatIsTooShortIsRefused) {
  Session session = open_tiny(false);
  const std::vector<TokenId> text = some_text(15);
  const auto refused = make(session, text);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::budget);
  EXPECT_THAT(refused.error().message, HasSubstr("15 tokens"));
}

TEST(ColumnImportance, FollowsTheProductAndNeverReachesZero) {
  const TensorUse table{.use = {.kind = StepKind::embed}, .column_energy = {}};
  const TensorUse product{.use = {}, .column_energy = {4, 0, 2}};
  EXPECT_TRUE(column_importance(std::vector{table}).empty());
  const std::vector<float> importance = column_importance(std::vector{table, product});
  ASSERT_EQ(importance.size(), 3u);
  EXPECT_GT(importance[0], importance[2]);
  EXPECT_GT(importance[2], importance[1]);
  EXPECT_GT(importance[1], 0);
}

}  // namespace
}  // namespace checkbit
