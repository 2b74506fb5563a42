#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/random.h"
#include "measure/sweep/laws/law.h"

namespace checkbit {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

/// Multiplies by exp of about normal noise.
double shaken(double value, double spread, Random& random) {
  double noise = -6;
  for (int n = 0; n < 12; ++n) noise += random.uniform();
  return value * std::exp(spread * noise);
}

LawPoint point_of(const std::string& model, double parameters, double bits,
                  const std::string& method = "rounding") {
  LawPoint point{.model = model,
                 .family = model.substr(0, model.rfind('-')),
                 .parameters = parameters,
                 .source_bits = 16,
                 .point = {}};
  point.point.candidate = {.name = "c", .method = method, .expected_bits = bits};
  point.point.file = {.file_bytes = static_cast<std::uint64_t>(parameters * bits / 8),
                      .bits_per_weight = bits,
                      .note = ""};
  point.point.perplexity_ratio.value = 1.1;
  point.point.loss_per_byte.value = 1;
  point.point.damage.value = 0.1;
  return point;
}

const Law& law_named(std::string_view name) {
  return **std::ranges::find(all_laws(), name, [](const Law* law) { return law->name; });
}

/// The truth lies in the interval, and the interval says something.
void expect_found(const FittedLaw& law, const std::string& name, double truth, double width) {
  const auto found = std::ranges::find(law.parameters, name, &LawParameter::name);
  ASSERT_NE(found, law.parameters.end()) << name;
  ASSERT_TRUE(found->fitted.interval.has_value()) << name;
  // A little more than the interval: 95 % of many parameters do not all hold.
  const double margin = 0.5 * (found->fitted.interval->high - found->fitted.interval->low) / 2;
  EXPECT_GE(truth, found->fitted.interval->low - margin) << name;
  EXPECT_LE(truth, found->fitted.interval->high + margin) << name;
  EXPECT_LE(found->fitted.interval->high - found->fitted.interval->low, width) << name;
}

TEST(Laws, EachIsStatedAndRefusesNothing) {
  std::set<int> papers;
  for (const Law* law : all_laws()) {
    SCOPED_TRACE(law->name);
    EXPECT_FALSE(law->title.empty());
    EXPECT_THAT(std::string(law->formula), HasSubstr(" = "));
    EXPECT_TRUE(papers.insert(law->paper).second);
    const FittedLaw fitted = law->fit({});
    EXPECT_EQ(fitted.name, law->name);
    EXPECT_FALSE(fitted.refused.empty());
    EXPECT_TRUE(fitted.parameters.empty());
  }
  EXPECT_EQ(papers, (std::set{32, 34, 70, 78, 154}));
}

TEST(Laws, NeverHaveMoreParametersThanPointsMinusTwo) {
  // Growing sets of every kind of point: whatever is fitted keeps the rule.
  std::vector<LawPoint> points;
  Random random(4);
  for (int i = 0; i < 40; ++i) {
    const std::string model = i % 3 == 0 ? "a-1b" : i % 3 == 1 ? "a-2b" : "b-1b";
    LawPoint point =
        point_of(model, 1e9 + 1e9 * (i % 3), 2 + 0.37 * (i % 11), i % 2 ? "rounding" : "codebook");
    point.point.damage.value = shaken(0.1, 1, random);
    point.point.loss_per_byte.value = shaken(1, 0.1, random);
    if (i % 4 == 3) {
      point.point.candidate.emulated = true;
      point.point.candidate.exponent_bits = 1 + i % 5;
      point.point.candidate.mantissa_bits = i % 3;
      point.point.candidate.block = 16 << (i % 4);
    }
    points.push_back(point);
    for (const Law* law : all_laws()) {
      const FittedLaw fitted = law->fit(points);
      if (fitted.refused.empty()) {
        EXPECT_LE(fitted.parameters.size() + 2, fitted.points) << law->name << " " << i;
      }
    }
  }
}

TEST(Laws, FloatFormatFindsItsExponents) {
  std::vector<LawPoint> points;
  Random random(1);
  for (const char* model : {"a-1b", "b-1b"}) {
    for (const int block : {16, 64, 256}) {
      for (int e = 1; e <= 4; ++e) {
        for (int m = 1; m <= 3; ++m) {
          LawPoint point = point_of(model, 1e9, 1.0 + e + m);
          point.point.candidate.emulated = true;
          point.point.candidate.exponent_bits = e;
          point.point.candidate.mantissa_bits = m;
          point.point.candidate.block = block;
          const double c = model[0] == 'a' ? 0.8 : 0.3;
          point.point.damage.value = shaken(
              c * std::log2(block) / std::pow(e + 0.5, 3.2) / std::pow(m + 0.5, 2.9), 0.1, random);
          points.push_back(point);
        }
      }
    }
  }
  const FittedLaw law = law_named("float_format").fit(points);
  expect_found(law, "delta", 3.2, 0.2);
  expect_found(law, "nu", 2.9, 0.2);
  expect_found(law, "log_c_a-1b", std::log(0.8), 0.3);
  expect_found(law, "log_c_b-1b", std::log(0.3), 0.3);
  EXPECT_THAT(law.findings, Contains(HasSubstr("4 bits e2m1")));
  EXPECT_THAT(law.findings, Contains(HasSubstr("gamma")));
}

TEST(Laws, FloatFormatSaysWhatOneMantissaCannotTell) {
  std::vector<LawPoint> points;
  Random random(1);
  for (int i = 0; i < 9; ++i) {
    LawPoint point = point_of("a-1b", 1e9, 4);
    point.point.candidate.emulated = true;
    point.point.candidate.exponent_bits = 1 + i % 3;
    point.point.candidate.mantissa_bits = 1;
    point.point.candidate.block = 32;
    point.point.damage.value = shaken(0.1, 0.1, random);
    points.push_back(point);
  }
  const FittedLaw law = law_named("float_format").fit(points);
  ASSERT_TRUE(law.refused.empty());
  EXPECT_TRUE(law.parameters[0].fitted.interval.has_value()) << "delta";
  EXPECT_FALSE(law.parameters[1].fitted.interval.has_value()) << "nu";
  EXPECT_THAT(law.findings, Contains(HasSubstr("do not determine nu")));
}

TEST(Laws, KbitInferenceFindsTheBestBits) {
  std::vector<LawPoint> points;
  Random random(2);
  for (const auto& [model, size] : {std::pair{"a-1b", 1e9}, {"a-2b", 2e9}, {"a-4b", 4e9}}) {
    for (const int k : {3, 4, 5, 8}) {
      LawPoint point = point_of(model, size, k);
      const double offset = k == 3 ? 0.2 : k == 4 ? 0 : 0.02 * k;
      point.point.loss_per_byte.value = 1 + offset - 0.05 * (std::log2(point.total_bits()) - 33) +
                                        0.002 * (random.uniform() - 0.5);
      points.push_back(point);
    }
  }
  const FittedLaw law = law_named("kbit_inference").fit(points);
  expect_found(law, "slope", -0.05, 0.01);
  EXPECT_THAT(law.findings, Contains(HasSubstr("lowest for 4bit")));
  // Only one model: nothing to compare.
  std::erase_if(points, [](const LawPoint& p) { return p.model != "a-1b"; });
  EXPECT_FALSE(law_named("kbit_inference").fit(points).refused.empty());
}

TEST(Laws, LowBitFindsTheSlopeAndNamesFailures) {
  std::vector<LawPoint> points;
  Random random(3);
  for (const char* model : {"a-1b", "b-1b"}) {
    const double slope = model[0] == 'a' ? 1.4 : 0.9;
    for (double bits = 2; bits <= 6; bits += 0.5) {
      LawPoint point = point_of(model, 1e9, bits);
      point.point.damage.value = shaken(0.05 * std::exp(-slope * (bits - 4)), 0.05, random);
      point.point.perplexity_ratio.value = bits < 2.4 ? 3 : 1.2;
      points.push_back(point);
    }
  }
  const FittedLaw law = law_named("low_bit").fit(points);
  expect_found(law, "slope_a-1b", 1.4, 0.15);
  expect_found(law, "slope_b-1b", 0.9, 0.15);
  expect_found(law, "log_damage_at_4_a-1b", std::log(0.05), 0.2);
  EXPECT_THAT(law.findings, Contains(HasSubstr("a-1b fails")));
  EXPECT_THAT(law.findings, Contains(HasSubstr("c (2.00 bits, rounding)")));
}

TEST(Laws, MethodClassesFindsTheFactors) {
  std::vector<LawPoint> points;
  Random random(5);
  for (const char* method : {"rounding", "codebook", "mixed"}) {
    const double factor = method[0] == 'c' ? 0.5 : 1;
    for (double bits = 2; bits <= (method[0] == 'r' ? 6.1 : 5); bits += 0.25) {
      LawPoint point = point_of("a-1b", 1e9, bits, method);
      point.point.damage.value = shaken(factor * 0.05 * std::exp(-1.2 * (bits - 4)), 0.1, random);
      points.push_back(point);
    }
  }
  const FittedLaw law = law_named("method_classes").fit(points);
  expect_found(law, "log_factor_codebook", std::log(0.5), 0.3);
  expect_found(law, "log_factor_mixed", 0, 0.3);
  expect_found(law, "slope", 1.2, 0.1);
  EXPECT_THAT(law.findings, Contains(HasSubstr("mixed has")));
  EXPECT_THAT(law.findings, Contains(HasSubstr("times the damage of rounding")));
}

TEST(Laws, BitLevelComparesFamilies) {
  std::vector<LawPoint> points;
  Random random(6);
  for (const auto& [model, size] :
       {std::pair{"a-1b", 1e9}, {"a-4b", 4e9}, {"b-1b", 1e9}, {"b-4b", 4e9}}) {
    for (const double bits : {3.0, 4.0, 5.0}) {
      LawPoint point = point_of(model, size, bits);
      const bool a = model[0] == 'a';
      point.point.loss_per_byte.value = shaken(
          (a ? 1.0 : 1.3) * std::pow(point.total_bits() / 1e10, a ? -0.12 : -0.05), 0.002, random);
      points.push_back(point);
    }
  }
  const FittedLaw law = law_named("bit_level").fit(points);
  expect_found(law, "exponent_a", 0.12, 0.02);
  expect_found(law, "exponent_b", 0.05, 0.02);
  EXPECT_THAT(law.findings, Contains(HasSubstr("a has the lowest loss")));
  std::erase_if(points, [](const LawPoint& p) { return p.model == "b-4b"; });
  EXPECT_THAT(law_named("bit_level").fit(points).findings, Contains(HasSubstr("only one size")));
}

}  // namespace
}  // namespace checkbit
