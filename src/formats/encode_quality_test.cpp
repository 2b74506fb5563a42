// Encoders against other people's on real weights: tests/data/real_rows.bin, with the squared
// errors to reach in encode_quality.json. Both are written by tests/oracles/encode_quality.py,
// which says where the weights and the errors come from.

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/random.h"
#include "formats/format.h"

namespace checkbit {
namespace {

std::ifstream open_data(const std::string& name) {
  return std::ifstream(std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/" + name, std::ios::binary);
}

struct RealRows {
  nlohmann::json facts;
  std::vector<std::vector<float>> tensors;  ///< each [rows * columns]
};

RealRows load_rows() {
  auto facts_file = open_data("encode_quality.json");
  RealRows rows{.facts = nlohmann::json::parse(facts_file), .tensors = {}};
  auto values_file = open_data("real_rows.bin");
  const std::size_t count =
      rows.facts["rows"].get<std::size_t>() * rows.facts["columns"].get<std::size_t>();
  for (std::size_t t = 0; t < rows.facts["tensors"].size(); ++t) {
    std::vector<float> values(count);
    values_file.read(reinterpret_cast<char*>(values.data()),
                     static_cast<std::streamsize>(count * sizeof(float)));
    rows.tensors.push_back(std::move(values));
  }
  if (!values_file) rows.tensors.clear();
  return rows;
}

double round_trip_error(const Format& format, const std::vector<float>& values) {
  const std::size_t blocks = values.size() / format.block_elements;
  std::vector<std::uint8_t> bytes(blocks * format.block_bytes);
  std::vector<float> decoded(values.size());
  format.encode(values.data(), blocks, nullptr, bytes.data());
  format.decode(bytes.data(), blocks, decoded.data());
  double error = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    error += std::pow(double{values[i]} - double{decoded[i]}, 2);
  }
  return error;
}

TEST(EncodeQuality, SquaredErrorsAreNoLargerThanTheReference) {
  const RealRows rows = load_rows();
  ASSERT_EQ(rows.tensors.size(), 8u);
  for (const Format* format : all_formats()) {
    if (format->encode == nullptr || format->name == "F32") continue;
    const std::string name(format->name);
    ASSERT_TRUE(rows.facts["squared_errors"].contains(name)) << name;
    const auto& reference = rows.facts["squared_errors"][name];
    // The reference of our own formats is the optimum over all scales and offsets; a search that
    // takes microseconds may miss it by a little.
    const double allowance = format->own ? 1.05 : 1.0;
    for (std::size_t t = 0; t < rows.tensors.size(); ++t) {
      const double limit = reference[t].get<double>() * allowance * (1 + 1e-9);
      const double error = round_trip_error(*format, rows.tensors[t]);
      EXPECT_LE(error, limit) << name << " on " << rows.facts["tensors"][t];
      if (format->own) {
        EXPECT_GE(error, reference[t].get<double>() * (1 - 1e-6)) << name;
      }
    }
  }
}

/// A file that is encoded again in its own type loses nothing, also where a sub-block leaves its
/// highest level unused, so that its offset alone could as well be a level lower.
TEST(EncodeQuality, ValuesOnTheGridOfAKFormatComeBack) {
  for (const auto& [name, levels] : {std::pair("Q4_K", 16u), std::pair("Q5_K", 32u)}) {
    Random random(1);
    std::vector<float> values;
    for (int block = 0; block < 100; ++block) {
      for (unsigned sub = 0; sub < 8; ++sub) {
        const bool first = sub == 0;  // takes the largest sub-scale and sub-minimum
        const float scale = 0x1p-13f * static_cast<float>(first ? 63 : 35 + random.next() % 28);
        const float minimum = 0x1p-10f * static_cast<float>(first ? 63 : 25 + random.next() % 38);
        const std::uint64_t used = levels - random.next() % 2;
        for (unsigned i = 0; i < 32; ++i) {
          const std::uint64_t level = i == 0 ? 0 : i == 1 ? used - 1 : random.next() % used;
          values.push_back(scale * static_cast<float>(level) - minimum);
        }
      }
    }
    EXPECT_EQ(round_trip_error(*find_format(name), values), 0) << name;
  }
}

/// What the own formats are for: at the same bits per weight or fewer, less error than the standard
/// formats for rows that 256 does not divide.
TEST(EncodeQuality, OwnFormatsBeatStandardOnesOfTheirSize) {
  const RealRows rows = load_rows();
  ASSERT_EQ(rows.tensors.size(), 8u);
  const Format& own = *find_format("CB4");
  for (const char* name : {"Q4_0", "IQ4_NL"}) {
    const Format& standard = *find_format(name);
    ASSERT_LE(own.bits_per_weight(), standard.bits_per_weight());
    for (std::size_t t = 0; t < rows.tensors.size(); ++t) {
      EXPECT_LT(round_trip_error(own, rows.tensors[t]), round_trip_error(standard, rows.tensors[t]))
          << name << " on " << rows.facts["tensors"][t];
    }
  }
}

}  // namespace
}  // namespace checkbit
