// The sampler against plain statements of what each filter keeps, and on hostile logits.

#include "run/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "base/random.h"

namespace checkbit {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

SamplerOptions plain(float temperature) {
  SamplerOptions options;
  options.temperature = temperature;
  options.top_k = 0;
  options.top_p = 1;
  options.min_p = 0;
  return options;
}

Sampler make(const SamplerOptions& options, std::size_t vocabulary = 8) {
  auto sampler = Sampler::create(options, vocabulary);
  EXPECT_TRUE(sampler.ok()) << sampler.error().message;
  return *std::move(sampler);
}

std::set<TokenId> reachable(const SamplerOptions& options, const std::vector<float>& logits) {
  Sampler sampler = make(options, logits.size());
  std::set<TokenId> seen;
  for (std::uint64_t i = 0; i < 4000; ++i) seen.insert(sampler.sample(logits, {}, i));
  return seen;
}

TEST(Sampler, GreedyTakesTheSmallestIdOfTheBest) {
  EXPECT_EQ(make(plain(0)).sample(std::vector<float>{1, 3, 3, 2}, {}, 0), 1);
}

// Against a plain scan: the best anywhere in a large vocabulary, twice, among NaN and infinities.
TEST(Sampler, GreedyFindsTheBestInAnyBlock) {
  Random random(5);
  for (const std::size_t size : {1u, 15u, 511u, 512u, 513u, 5000u}) {
    std::vector<float> logits(size);
    for (float& x : logits)
      x = random.next() % 16 == 0 ? kNan : static_cast<float>(random.uniform());
    const std::size_t first = random.next() % size;
    const std::size_t second = random.next() % size;
    logits[first] = logits[second] = 2.0f;
    EXPECT_EQ(make(plain(0), size).sample(logits, {}, 0),
              static_cast<TokenId>(std::min(first, second)));
    EXPECT_EQ(reachable(plain(0.01f), logits),
              (std::set<TokenId>{static_cast<TokenId>(first), static_cast<TokenId>(second)}));
  }
}

TEST(Sampler, FiltersKeepExactlyTheirTokens) {
  // Probabilities 0.5, 0.25, 0.125, 0.125.
  const std::vector<float> logits = {std::log(0.5f), std::log(0.25f), std::log(0.125f),
                                     std::log(0.125f)};
  SamplerOptions options = plain(1);
  EXPECT_EQ(reachable(options, logits), (std::set<TokenId>{0, 1, 2, 3}));
  options.top_k = 2;
  EXPECT_EQ(reachable(options, logits), (std::set<TokenId>{0, 1}));
  options = plain(1);
  options.top_p = 0.7f;
  EXPECT_EQ(reachable(options, logits), (std::set<TokenId>{0, 1}));
  options.top_p = 0;
  EXPECT_EQ(reachable(options, logits), (std::set<TokenId>{0}));
  options = plain(1);
  options.min_p = 0.4f;
  EXPECT_EQ(reachable(options, logits), (std::set<TokenId>{0, 1}));
  options = plain(1);
  options.logit_bias = {{0, -100.0f}};
  EXPECT_EQ(reachable(options, logits), (std::set<TokenId>{1, 2, 3}));
}

TEST(Sampler, FrequenciesFollowTheProbabilities) {
  const std::vector<float> logits = {std::log(0.5f), std::log(0.25f), std::log(0.125f),
                                     std::log(0.125f)};
  const double expected[] = {0.5, 0.25, 0.125, 0.125};
  Sampler sampler = make(plain(1), logits.size());
  std::map<TokenId, int> counts;
  constexpr int kDraws = 20000;
  for (int i = 0; i < kDraws; ++i)
    ++counts[sampler.sample(logits, {}, static_cast<std::uint64_t>(i))];
  double chi_square = 0;
  for (TokenId id = 0; id < 4; ++id) {
    const double mean = kDraws * expected[id];
    chi_square += (counts[id] - mean) * (counts[id] - mean) / mean;
  }
  EXPECT_LT(chi_square, 16.3);  // 3 degrees of freedom, chance 0.001
  EXPECT_GT(chi_square, 0.02);  // as unlikely: too regular to be random
}

TEST(Sampler, SameSeedAndPositionSameToken) {
  const std::vector<float> logits(50, 1.0f);
  SamplerOptions options = plain(1);
  options.seed = 7;
  Sampler a = make(options, logits.size());
  Sampler b = make(options, logits.size());
  std::set<TokenId> seen;
  for (std::uint64_t i = 0; i < 100; ++i) {
    const TokenId token = a.sample(logits, {}, i);
    EXPECT_EQ(token, b.sample(logits, {}, i));
    seen.insert(token);
  }
  EXPECT_GT(seen.size(), 25u);
  EXPECT_EQ(a.sample(logits, {}, 3), b.sample(logits, {}, 3));  // no earlier draw is needed
}

TEST(Sampler, PenaltiesCountRecentTokens) {
  SamplerOptions options = plain(0);
  options.repetition_penalty = 2;
  const std::vector<TokenId> history = {1};
  EXPECT_EQ(make(options).sample(std::vector<float>{1.5f, 2.0f}, history, 0), 0);
  EXPECT_EQ(make(options).sample(std::vector<float>{-1.5f, -1.0f}, history, 0), 0);
  options = plain(0);
  options.frequency_penalty = 0.3f;
  EXPECT_EQ(make(options).sample(std::vector<float>{1.5f, 2.0f}, history, 0), 1);
  EXPECT_EQ(make(options).sample(std::vector<float>{1.5f, 2.0f}, std::vector<TokenId>{1, 1}, 0), 0);
  options.penalty_window = 1;
  EXPECT_EQ(make(options).sample(std::vector<float>{1.5f, 2.0f}, std::vector<TokenId>{1, 1}, 0), 1);
}

TEST(Sampler, HostileLogitsGiveATokenOfTheVocabulary) {
  const std::vector<std::vector<float>> cases = {{kNan, kNan, kNan},
                                                 {kNan, 1, kNan},
                                                 {kInfinity, kInfinity, -kInfinity},
                                                 {-kInfinity, -kInfinity, -kInfinity}};
  for (const float temperature : {0.0f, 0.5f, 100.0f}) {
    for (const int top_k : {0, 2}) {
      SamplerOptions options = plain(temperature);
      options.top_k = top_k;
      for (const auto& logits : cases) {
        const TokenId token = make(options, logits.size()).sample(logits, {}, 0);
        EXPECT_GE(token, 0);
        EXPECT_LT(token, 3);
      }
      EXPECT_EQ(make(options, 3).sample(cases[1], {}, 0), 1);
    }
  }
}

TEST(Sampler, OptionsOutOfRangeAreNamed) {
  const auto message_of = [](auto change) {
    SamplerOptions options;
    change(options);
    auto sampler = Sampler::create(options, 8);
    return sampler.ok() ? std::string() : sampler.error().message;
  };
  EXPECT_NE(message_of([](auto& o) { o.temperature = -1; }).find("temperature"), std::string::npos);
  EXPECT_NE(message_of([](auto& o) { o.temperature = kNan; }).find("temperature"),
            std::string::npos);
  EXPECT_NE(message_of([](auto& o) { o.top_k = -1; }).find("top-k"), std::string::npos);
  EXPECT_NE(message_of([](auto& o) { o.top_p = 1.5f; }).find("top-p"), std::string::npos);
  EXPECT_NE(message_of([](auto& o) { o.min_p = -0.1f; }).find("min-p"), std::string::npos);
  EXPECT_NE(message_of([](auto& o) { o.repetition_penalty = 0; }).find("repetition"),
            std::string::npos);
  EXPECT_NE(message_of([](auto& o) { o.logit_bias = {{8, 1.0f}}; }).find("8"), std::string::npos);
}

}  // namespace
}  // namespace checkbit
