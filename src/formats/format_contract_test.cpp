// Walks formats.def and proves what each record declares. Oracles: tests/data/golden_blocks.json
// (gguf's dequantizers and numpy, see tests/oracles/make_golden_blocks.py) and plain arithmetic.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/float16.h"
#include "formats/format.h"

namespace checkbit {
namespace {

using Bytes = std::vector<std::uint8_t>;
using Floats = std::vector<float>;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// ---- helpers

Bytes bytes_of_hex(const std::string& hex) {
  Bytes bytes(hex.size() / 2);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::uint8_t>(std::stoi(hex.substr(2 * i, 2), nullptr, 16));
  }
  return bytes;
}

const nlohmann::json& golden() {
  static const nlohmann::json parsed = nlohmann::json::parse(
      std::ifstream(std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/golden_blocks.json"));
  return parsed;
}

const nlohmann::json* golden_of(const Format& format) {
  for (const auto& entry : golden()) {
    if (entry["name"] == format.name) return &entry;
  }
  return nullptr;
}

/// All golden blocks of a format, one after the other.
Bytes golden_bytes(const Format& format) {
  Bytes all;
  for (const auto& hex : (*golden_of(format))["blocks"]) {
    const Bytes block = bytes_of_hex(hex);
    all.insert(all.end(), block.begin(), block.end());
  }
  return all;
}

Floats decode(const Format& format, const Bytes& blocks) {
  const std::size_t count = blocks.size() / format.block_bytes;
  Floats values(count * format.block_elements);
  format.decode(blocks.data(), count, values.data());
  return values;
}

Bytes encode(const Format& format, const Floats& values, const float* importance = nullptr) {
  const std::size_t count = values.size() / format.block_elements;
  Bytes blocks(count * format.block_bytes);
  format.encode(values.data(), count, importance, blocks.data());
  return blocks;
}

Floats round_trip(const Format& format, const Floats& values) {
  return decode(format, encode(format, values));
}

bool all_finite(const Format& format, const Bytes& blocks) {
  for (std::size_t at = 0; at < blocks.size(); at += format.block_bytes) {
    if (!format.is_finite(blocks.data() + at)) return false;
  }
  return true;
}

bool all_finite(const Floats& values) {
  return std::ranges::all_of(values, [](float value) { return std::isfinite(value); });
}

std::uint32_t bits_of(float value) { return std::bit_cast<std::uint32_t>(value); }

double squared_error(const Floats& a, const Floats& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += std::pow(double{a[i]} - double{b[i]}, 2);
  return sum;
}

double sum_of_squares(const Floats& values) {
  return squared_error(values, Floats(values.size(), 0.0f));
}

/// Weights of bell shape, 1024 of them: whole blocks of every format.
Floats normal_values(unsigned seed, float deviation) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0f, deviation);
  Floats values(1024);
  for (float& value : values) value = normal(generator);
  return values;
}

/// Stores rows of a lattice, not each weight for itself: integers are wider than what is stored.
bool has_lattice(const Format& format) {
  return !format.ternary && format.integer.bits > format.bits_per_weight();
}

/// Bits of the integers themselves, not of scales: what the error bounds go by.
double level_bits(const Format& format) {
  if (has_lattice(format)) return format.bits_per_weight();
  if (format.integer.bits == 0) return format.name == "BF16" ? 8 : format.name == "F16" ? 11 : 24;
  return format.integer.table != nullptr ? 3.5 : format.ternary ? 1.58 : format.integer.bits;
}

class FormatContract : public testing::TestWithParam<const Format*> {
 protected:
  const Format& format() const { return *GetParam(); }
};

class IntegerFormat : public FormatContract {};    ///< with an integer form
class EncodableFormat : public FormatContract {};  ///< with an encoder
class GroupEncoder : public FormatContract {};     ///< with an encoder, several values to a block

std::vector<const Format*> formats_where(bool (*wanted)(const Format&)) {
  std::vector<const Format*> found;
  std::ranges::copy_if(all_formats(), std::back_inserter(found),
                       [&](const Format* format) { return wanted(*format); });
  return found;
}

std::string test_name(const testing::TestParamInfo<const Format*>& info) {
  return std::string(info.param->name);
}

#define CHECKBIT_FOR_FORMATS(suite, condition)                                                 \
  INSTANTIATE_TEST_SUITE_P(                                                                    \
      All, suite, testing::ValuesIn(formats_where([](const Format& f) { return condition; })), \
      test_name)
CHECKBIT_FOR_FORMATS(FormatContract, f.block_bytes > 0);
CHECKBIT_FOR_FORMATS(IntegerFormat, f.unpack != nullptr);
CHECKBIT_FOR_FORMATS(EncodableFormat, f.encode != nullptr);
CHECKBIT_FOR_FORMATS(GroupEncoder, f.encode != nullptr && f.block_elements > 1);

// ---- the list

TEST(Formats, NamesAndIdsAreUnique) {
  std::set<std::string_view> names;
  std::set<std::uint32_t> ids;
  for (const Format* format : all_formats()) {
    EXPECT_TRUE(names.insert(format->name).second) << format->name;
    EXPECT_TRUE(ids.insert(format->type_id).second) << format->name;
    EXPECT_EQ(find_format(format->name), format);
    EXPECT_EQ(find_format(format->type_id), format);
  }
  EXPECT_EQ(find_format("q4_k"), find_format("Q4_K"));
  EXPECT_EQ(find_format("no such format"), nullptr);
  EXPECT_EQ(find_format(0x7fffffffu), nullptr);
}

TEST(Formats, CoverEveryTypeOfTheOracle) {
  for (const auto& entry : golden()) {
    EXPECT_NE(find_format(entry["name"].get<std::string>()), nullptr) << entry["name"];
  }
}

TEST(Formats, StandInOrderOfTheirIds) {
  const auto formats = all_formats();
  EXPECT_TRUE(std::ranges::is_sorted(formats, {}, &Format::type_id));
}

TEST(Formats, AreNamedInTheDocumentation) {
  std::ifstream file(std::string(CHECKBIT_SOURCE_DIR) + "/docs/formats/README.md");
  const std::string text(std::istreambuf_iterator<char>(file), {});
  for (const Format* format : all_formats()) {
    EXPECT_THAT(text, testing::HasSubstr("| " + std::string(format->name) + " |"));
  }
}

// ---- declared facts

TEST_P(FormatContract, SizesAndIdAgreeWithTheOracle) {
  const auto* entry = golden_of(format());
  ASSERT_NE(entry, nullptr) << format().name << ": run tests/oracles/make_golden_blocks.py";
  EXPECT_EQ(format().type_id, (*entry)["type_id"].get<std::uint32_t>());
  EXPECT_EQ(format().block_elements, (*entry)["block_elements"].get<int>());
  EXPECT_EQ(format().block_bytes, (*entry)["block_bytes"].get<int>());
  EXPECT_EQ(format().own, format().type_id >= kOwnFormatBase);
  EXPECT_FALSE(format().summary.empty());
  ASSERT_NE(format().decode, nullptr);
  ASSERT_NE(format().is_finite, nullptr);
}

TEST_P(FormatContract, IntegerFormComesWithUnpack) {
  EXPECT_EQ(format().integer.bits == 0, format().unpack == nullptr) << format().name;
}

TEST_P(IntegerFormat, IsConsistent) {
  const IntegerForm& form = format().integer;
  EXPECT_LE(form.bits, 8);
  EXPECT_LE(format().block_elements, 256);
  EXPECT_EQ(format().block_elements % form.scale_elements, 0);
  EXPECT_EQ(form.scale_elements % form.sub_elements, 0);
  EXPECT_EQ(form.scale_elements % 16, 0);
  EXPECT_LE(format().block_elements / form.scale_elements, 16);
  EXPECT_LE(format().block_elements / form.sub_elements, 16);
  EXPECT_EQ(form.activation_elements, format().block_elements <= 64 ? 32 : format().block_elements);
  EXPECT_TRUE(form.table == nullptr || form.bits == (form.window > 1 ? 6 : 4));
  EXPECT_EQ(form.bits % form.window, 0);
  EXPECT_TRUE(form.has_min || !form.has_sub_min);
}

// ---- decode

TEST_P(FormatContract, DecodesGoldenBlocksBitForBit) {
  const auto& entry = *golden_of(format());
  for (std::size_t b = 0; b < entry["blocks"].size(); ++b) {
    const Floats values = decode(format(), bytes_of_hex(entry["blocks"][b]));
    const Bytes expected = bytes_of_hex(entry["values"][b]);
    ASSERT_EQ(expected.size(), values.size() * sizeof(float));
    for (std::size_t i = 0; i < values.size(); ++i) {
      float wanted = 0;
      std::memcpy(&wanted, expected.data() + i * sizeof(float), sizeof(float));
      if (std::isnan(wanted) && std::isnan(values[i])) continue;
      ASSERT_EQ(bits_of(values[i]), bits_of(wanted))
          << format().name << " block " << b << " value " << i << ": " << values[i] << ", not "
          << wanted;
    }
  }
}

TEST_P(FormatContract, DecodesBlocksOneByOneAndAtAnyAddress) {
  const Bytes blocks = golden_bytes(format());
  const Floats together = decode(format(), blocks);
  Bytes shifted(blocks.size() + 1);
  std::ranges::copy(blocks, shifted.begin() + 1);
  Floats single(format().block_elements);
  for (std::size_t b = 0; b < blocks.size() / format().block_bytes; ++b) {
    format().decode(shifted.data() + 1 + b * format().block_bytes, 1, single.data());
    ASSERT_EQ(std::memcmp(single.data(), together.data() + b * single.size(),
                          single.size() * sizeof(float)),
              0)
        << format().name << " block " << b;
  }
}

// ---- integer form

/// The value of weight i and the largest term in it, from the definition in format.h, in double.
struct FromInteger {
  double value;
  double largest_term;
};

FromInteger from_integer(const IntegerForm& form, const IntegerBlock& block, int i) {
  const int group = i / form.scale_elements;
  const int sub = i / form.sub_elements;
  const int level = form.table != nullptr ? form.table[block.q[i]] : block.q[i];
  const double product =
      double{block.scale[group]} * block.sub_scale[sub] * (level - form.q_offset);
  const double min = form.has_min ? double{block.min_scale[group]} * block.sub_min[sub] : 0.0;
  return {product - min, std::max(std::fabs(product), std::fabs(min))};
}

void expect_integer_facts(const Format& format, const IntegerBlock& block) {
  const IntegerForm& form = format.integer;
  for (int i = 0; i < format.block_elements; ++i) ASSERT_LT(block.q[i], 1 << form.bits);
  for (int j = 0; j < format.block_elements / form.sub_elements; ++j) {
    if (!form.has_sub_scale) {
      ASSERT_EQ(block.sub_scale[j], 1);
    }
    if (form.has_min && !form.has_sub_min) {
      ASSERT_EQ(block.sub_min[j], 1);
    }
  }
  if (form.min_ratio != 0) {
    for (int g = 0; g < format.block_elements / form.scale_elements; ++g) {
      ASSERT_EQ(block.min_scale[g], block.scale[g] * form.min_ratio);
    }
  }
  if (!form.half_scales) return;
  for (int g = 0; g < format.block_elements / form.scale_elements; ++g) {
    ASSERT_EQ(half_to_float(float_to_half(block.scale[g])), block.scale[g]);
    if (form.has_min) {
      ASSERT_EQ(half_to_float(float_to_half(block.min_scale[g])), block.min_scale[g]);
    }
  }
}

TEST_P(IntegerFormat, GivesTheDecodedValues) {
  const Bytes blocks = golden_bytes(format());
  int compared = 0;
  for (std::size_t at = 0; at < blocks.size(); at += format().block_bytes) {
    if (!format().is_finite(blocks.data() + at)) continue;
    IntegerBlock block;
    format().unpack(blocks.data() + at, block);
    expect_integer_facts(format(), block);
    Floats values(format().block_elements);
    format().decode(blocks.data() + at, 1, values.data());
    for (int i = 0; i < format().block_elements; ++i) {
      const FromInteger expected = from_integer(format().integer, block, i);
      const double ulp = std::max(expected.largest_term * 0x1p-23, 0x1p-149);
      ASSERT_NEAR(values[i], expected.value, 4 * ulp) << format().name << " value " << i;
    }
    ++compared;
  }
  EXPECT_GT(compared, 3) << format().name;
}

// ---- bytes

/// Bytes of a block that decoding does not need: sums kept for kernels of other programs, and bits
/// of a double below float's.
bool is_redundant(const Format& format, int byte) {
  if (format.name == "Q8_1") return byte >= 4 && byte < 8;
  if (format.name == "F64") return byte < 3;
  return format.name == "Q8_K" && byte >= 260;
}

TEST_P(FormatContract, EveryByteMatters) {
  const Bytes blocks = golden_bytes(format());
  std::vector<bool> matters(format().block_bytes);
  for (std::size_t at = 0; at < blocks.size(); at += format().block_bytes) {
    Bytes block(blocks.begin() + at, blocks.begin() + at + format().block_bytes);
    if (!format().is_finite(block.data())) continue;
    const Floats before = decode(format(), block);
    for (int byte = 0; byte < format().block_bytes; ++byte) {
      for (int bit = 0; bit < 8; ++bit) {
        block[byte] ^= static_cast<std::uint8_t>(1 << bit);
        const Floats after = decode(format(), block);
        block[byte] ^= static_cast<std::uint8_t>(1 << bit);
        if (std::memcmp(before.data(), after.data(), before.size() * sizeof(float)) != 0) {
          matters[byte] = true;
        }
      }
    }
  }
  for (int byte = 0; byte < format().block_bytes; ++byte) {
    EXPECT_EQ(matters[byte], !is_redundant(format(), byte)) << format().name << " byte " << byte;
  }
}

TEST_P(FormatContract, IsFiniteSaysWhetherDecodingIs) {
  // Damage each byte of a sound block to 0x7f and 0xff, and pairs to the half patterns of infinity
  // and NaN: decoded infinities and NaN must be announced.
  Bytes sound(format().block_bytes);
  const Bytes blocks = golden_bytes(format());
  int announced = 0;
  for (std::size_t at = 0; at < blocks.size(); at += format().block_bytes) {
    std::copy_n(blocks.begin() + at, format().block_bytes, sound.begin());
    for (int byte = 0; byte < format().block_bytes; ++byte) {
      for (const int high : {0x00, 0x7c, 0x7e, 0x7f, 0xfc, 0xff}) {
        Bytes damaged = sound;
        damaged[byte] = static_cast<std::uint8_t>(high);
        const bool finite = format().is_finite(damaged.data());
        announced += finite ? 0 : 1;
        if (finite) {
          ASSERT_TRUE(all_finite(decode(format(), damaged))) << format().name << " byte " << byte;
        }
      }
    }
  }
  const bool integers_only = format().name.starts_with("I") && format().block_elements == 1;
  const bool never = integers_only || format().name == "NVFP4";  // its scales are all numbers
  EXPECT_EQ(announced == 0, never) << format().name;
}

// ---- encode: inputs of every shape

TEST_P(EncodableFormat, ZerosAreExact) {
  const Floats values = round_trip(format(), Floats(1024, 0.0f));
  for (const float value : values) ASSERT_EQ(bits_of(value), 0u) << format().name;
}

TEST_P(EncodableFormat, NegativeZerosAreZero) {
  const Floats values = round_trip(format(), Floats(1024, -0.0f));
  for (const float value : values) ASSERT_EQ(value, 0.0f) << format().name;
}

/// The relative root-mean-square error that rounding bell-shaped weights to 2^bits levels gives:
/// about 2^-bits, within a factor of 2.5 either way.
TEST_P(EncodableFormat, ErrorOfNormalWeightsIsWhatItsBitsPromise) {
  const Floats values = normal_values(1, 0.02f);
  const Floats decoded = round_trip(format(), values);
  const double relative = std::sqrt(squared_error(values, decoded) / sum_of_squares(values));
  if (format().name == "F32") {
    EXPECT_EQ(relative, 0);
    return;
  }
  const double promised = std::exp2(-level_bits(format()));
  EXPECT_LT(relative, 2.5 * promised) << format().name;
  EXPECT_GT(relative, promised / 5) << format().name;
}

TEST_P(EncodableFormat, ErrorDoesNotDependOnTheScale) {
  // Powers of two only move exponents while scales stay normal halves.
  const Floats values = normal_values(2, 1.0f);
  const double error = squared_error(values, round_trip(format(), values));
  for (const float factor : {0x1p-3f, 0x1p5f}) {
    Floats scaled = values;
    for (float& value : scaled) value *= factor;
    const double scaled_error = squared_error(scaled, round_trip(format(), scaled));
    EXPECT_NEAR(scaled_error / (double{factor} * factor), error, 0.02 * error) << format().name;
  }
}

TEST_P(EncodableFormat, ConstantRowsKeepTheirValue) {
  for (const float constant : {1.0f, -1.0f, 0.3f, -0.007f}) {
    const Floats decoded = round_trip(format(), Floats(1024, constant));
    // Few windows of a trellis follow themselves: values waver around a constant.
    if (format().integer.window > 1) {
      const Floats constants(decoded.size(), constant);
      ASSERT_LT(squared_error(constants, decoded), 0.12 * sum_of_squares(constants));
      continue;
    }
    // Any format has a scale that puts a level within 5 % of one constant (MXFP4: powers of two).
    const float share = format().name == "MXFP4" ? 0.26f : 0.05f;
    for (const float value : decoded) {
      ASSERT_NEAR(value, constant, share * std::fabs(constant)) << format().name;
    }
  }
}

TEST_P(EncodableFormat, RampsStayInOrder) {
  if (has_lattice(format())) GTEST_SKIP() << "the nearest row may turn neighbours round";
  Floats values(1024);
  std::iota(values.begin(), values.end(), -512.0f);
  const Floats decoded = round_trip(format(), values);
  // Inside 16 values, one sub-scale and one offset hold: rounding cannot turn the order round.
  for (std::size_t i = 0; i + 1 < values.size(); ++i) {
    if (i % 16 == 15) continue;
    ASSERT_LE(decoded[i], decoded[i + 1]) << format().name << " at " << i;
  }
}

TEST_P(EncodableFormat, OneOutlierSurvives) {
  Floats values = normal_values(3, 0.01f);
  for (std::size_t i = 5; i < values.size(); i += 256) values[i] = i % 512 == 5 ? 3.0f : -3.0f;
  const Floats decoded = round_trip(format(), values);
  // IQ2_XXS has no level near zero: with magnitudes 43 and 31 times 8 the squared error is least
  // where the outlier comes back as 43 * 43 / (43 * 43 + 31 * 8 * 8) of itself.
  const float share = has_lattice(format()) ? 0.53f : 0.35f;
  for (std::size_t i = 5; i < values.size(); i += 256) {
    EXPECT_NEAR(decoded[i], values[i], share * 3.0f) << format().name;
  }
  EXPECT_LT(squared_error(values, decoded), sum_of_squares(values)) << format().name;
}

TEST_P(EncodableFormat, ExtremeInputsGiveFiniteBlocks) {
  constexpr float kMax = std::numeric_limits<float>::max();
  constexpr float kTiny = std::numeric_limits<float>::denorm_min();
  for (const float size : {kTiny, 1e-40f, 1e-30f, 1e-9f, 6e-8f, 3e-8f, 7e4f, 1e6f, 1e20f, kMax}) {
    Floats values = normal_values(4, 1.0f);
    for (float& value : values) value = std::clamp(value, -1.0f, 1.0f) * size;
    for (std::size_t i = 0; i < values.size(); i += 3) values[i] = 0.0f;
    const Bytes blocks = encode(format(), values);
    ASSERT_TRUE(all_finite(format(), blocks)) << format().name << " at " << size;
    const Floats decoded = decode(format(), blocks);
    ASSERT_TRUE(all_finite(decoded)) << format().name << " at " << size;
    // Never worse than storing nothing.
    ASSERT_LE(squared_error(values, decoded), 1.0001 * sum_of_squares(values))
        << format().name << " at " << size;
  }
}

TEST_P(EncodableFormat, ValuesBeyondTheRangeSaturate) {
  const Floats decoded = round_trip(format(), Floats(1024, 1e30f));
  for (const float value : decoded) EXPECT_GE(value, 60000.0f) << format().name;
}

TEST_P(EncodableFormat, MixedSizesInOneBlock) {
  Floats values(1024);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = std::ldexp(i % 2 == 0 ? 1.0f : -1.0f, static_cast<int>(i % 61) - 30);
  }
  const Bytes blocks = encode(format(), values);
  EXPECT_TRUE(all_finite(format(), blocks)) << format().name;
  EXPECT_LE(squared_error(values, decode(format(), blocks)), sum_of_squares(values));
}

// ---- encode: behaviour

TEST_P(EncodableFormat, IsDeterministicAndBlocksAreIndependent) {
  const Floats values = normal_values(5, 0.05f);
  const Bytes together = encode(format(), values);
  ASSERT_EQ(together, encode(format(), values)) << format().name;
  const std::size_t elements = format().block_elements;
  for (std::size_t b = 0; b < values.size() / elements; ++b) {
    const Floats one(values.begin() + b * elements, values.begin() + (b + 1) * elements);
    const Bytes block = encode(format(), one);
    ASSERT_TRUE(std::equal(block.begin(), block.end(), together.begin() + b * block.size()))
        << format().name << " block " << b;
  }
}

/// What a format has once written it writes again with little change: the error of a second pass is
/// a small part of that of the first. (Exactly the same bits are not promised: the K formats search
/// scales of scales.)
TEST_P(EncodableFormat, EncodingAgainChangesLittle) {
  const Floats values = normal_values(6, 0.05f);
  const Floats once = round_trip(format(), values);
  const Floats twice = round_trip(format(), once);
  const double first = squared_error(values, once);
  EXPECT_LE(squared_error(once, twice), 0.1 * first) << format().name;
}

TEST_P(GroupEncoder, ImportanceMovesTheErrorAway) {
  const Floats values = normal_values(7, 0.05f);
  Floats importance(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) importance[i] = i % 4 == 0 ? 1.0f : 0.01f;
  const Floats plain = round_trip(format(), values);
  const Floats weighted = decode(format(), encode(format(), values, importance.data()));
  double plain_error = 0;
  double weighted_error = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    plain_error += importance[i] * std::pow(values[i] - plain[i], 2);
    weighted_error += importance[i] * std::pow(values[i] - weighted[i], 2);
  }
  EXPECT_LT(weighted_error, plain_error) << format().name;
}

TEST_P(EncodableFormat, OddImportanceIsHarmless) {
  const Floats values = normal_values(8, 0.05f);
  const double plain = squared_error(values, round_trip(format(), values));
  Floats sparse(values.size(), 0.0f);
  sparse[17] = 1.0f;
  for (const Floats& importance :
       {Floats(values.size(), 0.0f), Floats(values.size(), 1e-30f), Floats(values.size(), 1e30f),
        Floats(values.size(), kInfinity), sparse}) {
    const Bytes blocks = encode(format(), values, importance.data());
    ASSERT_TRUE(all_finite(format(), blocks)) << format().name;
    if (importance == sparse || std::isinf(importance[0])) continue;
    // All alike is as good as none.
    EXPECT_NEAR(squared_error(values, decode(format(), blocks)), plain, 0.01 * plain)
        << format().name << " importance " << importance[0];
  }
}

}  // namespace
}  // namespace checkbit
