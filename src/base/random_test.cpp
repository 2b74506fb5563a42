#include "base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

namespace checkbit {
namespace {

// Written by tests/report/make_random_goldens.py from the definition in the paper.
nlohmann::json goldens(const char* part) {
  std::ifstream file(std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/report_random.json");
  nlohmann::json values = nlohmann::json::parse(file).at(part);
  EXPECT_FALSE(values.empty()) << part;
  return values;
}

std::uint64_t integer(const nlohmann::json& text) { return std::stoull(text.get<std::string>()); }

TEST(Squares, MatchesTheVectorsOfTheDefinition) {
  const nlohmann::json vectors = goldens("vectors");
  ASSERT_EQ(vectors.size(), 45U);
  for (const auto& vector : vectors) {
    const std::uint64_t key = integer(vector["key"]);
    const std::uint64_t counter = integer(vector["counter"]);
    EXPECT_EQ(squares32(counter, key), vector["bits32"].get<std::uint32_t>()) << vector;
    EXPECT_EQ(squares64(counter, key), integer(vector["bits64"])) << vector;
  }
}

TEST(Squares, KeysOfSeedsNeverChange) {
  for (const auto& entry : goldens("seeds")) {
    EXPECT_EQ(squares_key(integer(entry["seed"])), integer(entry["key"])) << entry;
  }
}

TEST(Squares, KeysObeyTheRuleAndDiffer) {
  std::set<std::uint64_t> keys;
  for (std::uint64_t seed = 0; seed < 20000; ++seed) {
    const std::uint64_t key = squares_key(seed);
    ASSERT_TRUE(is_squares_key(key)) << std::hex << key;
    keys.insert(key);
  }
  EXPECT_EQ(keys.size(), 20000U);
}

TEST(Squares, RuleRefusesBadKeys) {
  EXPECT_TRUE(is_squares_key(0x9876543187654321U));
  EXPECT_FALSE(is_squares_key(0x9876543187654312U)) << "even";
  EXPECT_FALSE(is_squares_key(0x9876543187654301U)) << "a zero digit";
  EXPECT_FALSE(is_squares_key(0x9876543187654331U)) << "lower digits repeat";
  EXPECT_FALSE(is_squares_key(0x9976543187654321U)) << "upper digits repeat";
  EXPECT_FALSE(is_squares_key(0x9176543887654321U)) << "the middle digits are equal";
}

TEST(Random, StreamsAreSlicesOfOneCounter) {
  Random first(7, 3);
  EXPECT_EQ(first.counter(), std::uint64_t{3} << 32);
  const std::uint64_t value = first.next();
  EXPECT_EQ(value, squares64(std::uint64_t{3} << 32, squares_key(7)));
  first.set_counter(std::uint64_t{3} << 32);
  EXPECT_EQ(first(), value);
  EXPECT_NE(Random(8, 3).next(), value);
  EXPECT_NE(Random(7, 4).next(), value);
}

TEST(Random, UniformStaysBelowOneAndFillsTheInterval) {
  Random random(1);
  std::array<int, 10> counts{};
  double sum = 0;
  constexpr int kDraws = 100000;
  for (int i = 0; i < kDraws; ++i) {
    const double value = random.uniform();
    const float narrow = random.uniform_float();
    ASSERT_TRUE(value >= 0 && value < 1);
    ASSERT_TRUE(narrow >= 0 && narrow < 1);
    counts[static_cast<std::size_t>(value * 10)] += 1;
    sum += value;
  }
  // Four standard errors of the mean and of a share of 0.1.
  EXPECT_NEAR(sum / kDraws, 0.5, 4 * 0.2887 / 316.2);
  for (const int count : counts) EXPECT_NEAR(count, kDraws / 10, 4 * 95);
}

TEST(Random, BelowIsEvenForABoundThatDoesNotDivide) {
  Random random(99);
  std::array<int, 7> counts{};
  constexpr int kDraws = 70000;
  for (int i = 0; i < kDraws; ++i) counts.at(random.below(7)) += 1;
  for (const int count : counts) EXPECT_NEAR(count, 10000, 4 * 93);
}

TEST(Random, BelowHasNoBiasForHugeBounds) {
  // With bound 3 * 2^62 a plain remainder would give the lowest third twice as often.
  Random random(5);
  const std::uint64_t bound = std::uint64_t{3} << 62;
  int lowest_third = 0;
  constexpr int kDraws = 30000;
  for (int i = 0; i < kDraws; ++i) {
    const std::uint64_t value = random.below(bound);
    ASSERT_LT(value, bound);
    lowest_third += value < bound / 3 ? 1 : 0;
  }
  EXPECT_NEAR(lowest_third, kDraws / 3, 4 * 82);
}

TEST(Random, BelowOneIsZero) {
  Random random(0);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(random.below(1), 0U);
}

}  // namespace
}  // namespace checkbit
