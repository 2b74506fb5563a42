#include "guard/spare_bits.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include "base/random.h"

namespace checkbit {
namespace {

/// Values of all magnitudes up to 1, by blocks and within them: what constant bits must not depend
/// on.
std::vector<float> make_values(std::size_t n) {
  Random random(3);
  std::vector<float> values(n);
  float block = 1;
  float part = 1;
  for (std::size_t i = 0; i < n; ++i) {
    if (i % 256 == 0) block = std::exp2(static_cast<float>(-12 * random.uniform()));
    if (i % 16 == 0) part = std::exp2(static_cast<float>(-4 * random.uniform()));
    const float sharp = std::pow(static_cast<float>(random.uniform()), 2.0f);
    values[i] = block * part * sharp * (random.uniform() < 0.5 ? -1.0f : 1.0f);
  }
  return values;
}

/// Bits of one byte of a block that stay the same over all magnitudes below 1. A half that is never
/// negative has its sign and its top exponent bit, one of either sign the exponent bit alone.
struct Constant {
  const char* format;
  std::size_t byte;
  int mask;
};
constexpr Constant kConstants[] = {{"Q4_0", 1, 0x40},   {"Q4_1", 1, 0xc0},  {"Q4_1", 3, 0x40},
                                   {"Q5_0", 1, 0x40},   {"Q5_1", 1, 0xc0},  {"Q5_1", 3, 0x40},
                                   {"Q8_0", 1, 0xc0},   {"Q2_K", 81, 0xc0}, {"Q2_K", 83, 0xc0},
                                   {"Q3_K", 109, 0x40}, {"Q4_K", 1, 0xc0},  {"Q4_K", 3, 0xc0},
                                   {"Q5_K", 1, 0xc0},   {"Q5_K", 3, 0xc0},  {"Q6_K", 209, 0x40},
                                   {"CB2", 1, 0x80},    {"CB3", 1, 0x80},   {"CB4", 1, 0x80}};

TEST(SpareBits, EveryTypeLeavesWhatTheTableSaysAndNothingOutsideItsScales) {
  const std::vector<float> values = make_values(256 * 600);
  std::map<std::string, ConstantBits> found;
  for (const Constant& constant : kConstants) {
    const Format& format = *find_format(constant.format);
    const std::size_t blocks = values.size() / static_cast<std::size_t>(format.block_elements);
    std::vector<std::uint8_t> bytes(blocks * static_cast<std::size_t>(format.block_bytes));
    format.encode(values.data(), blocks, nullptr, bytes.data());
    const auto at = found.try_emplace(constant.format, constant_block_bits(format, bytes)).first;
    EXPECT_EQ(at->second.zeros[constant.byte] & constant.mask, constant.mask)
        << constant.format << " byte " << constant.byte;
  }
  for (const auto& entry : found) {  // a binding could not be captured below
    const std::string& name = entry.first;
    const ConstantBits& bits = entry.second;
    for (std::size_t i = 0; i < bits.zeros.size(); ++i) {
      const bool listed = std::ranges::any_of(
          kConstants, [&](const Constant& c) { return name == c.format && c.byte == i; });
      if (listed) continue;
      EXPECT_EQ(bits.zeros[i] | bits.ones[i], 0) << name << " byte " << i;
    }
  }
}

struct Packed {
  ModelTensor tensor;
  std::vector<std::uint8_t> bytes;
  std::optional<PackedMatrix> matrix;
};

std::unique_ptr<Packed> pack(const char* name, std::uint64_t rows, std::uint64_t columns) {
  auto packed = std::make_unique<Packed>();
  const Format& format = *find_format(name);
  const std::vector<float> values = make_values(rows * columns);
  const std::size_t blocks = values.size() / static_cast<std::size_t>(format.block_elements);
  packed->bytes.resize(blocks * static_cast<std::size_t>(format.block_bytes));
  format.encode(values.data(), blocks, nullptr, packed->bytes.data());
  packed->tensor.info.name = name;
  packed->tensor.info.dimensions = {columns, rows};
  packed->tensor.info.format = &format;
  packed->tensor.info.size_bytes = packed->bytes.size();
  packed->tensor.bytes = packed->bytes;
  ThreadPool pool(1);
  auto matrix = PackedMatrix::create(packed->tensor, {}, pool);
  EXPECT_TRUE(matrix.ok());
  packed->matrix.emplace(*std::move(matrix));
  return packed;
}

TEST(SpareBits, AFlipOfAnySpareBitOfThePackedImageIsMendedAndNothingElseTouched) {
  for (const char* name : {"Q4_0", "Q4_1", "Q8_0", "Q4_K", "Q6_K", "Q2_K", "CB2", "CB3", "CB4"}) {
    const auto packed = pack(name, 128, 1024);
    const SpareBits spare = find_spare_bits(*packed->matrix);
    const auto image = packed->matrix->packed_from(0);
    std::vector<std::uint8_t> copy(image.begin(), image.end());
    EXPECT_EQ(mend_spare_bits(spare, copy), 0u) << name;
    int spare_bits = 0;
    for (const SpareField& field : spare.fields) {
      spare_bits += field.spare_bits();
      for (int bit = 0; bit < 8 * field.bytes; ++bit) {
        const std::size_t at = spare.record_bytes * (spare.records / 2) + field.offset +
                               (field.count / 3) * static_cast<std::size_t>(field.bytes) +
                               static_cast<std::size_t>(bit / 8);
        copy[at] ^= static_cast<std::uint8_t>(1 << (bit % 8));
        const bool is_spare = ((field.ones | field.zeros) >> bit & 1) != 0;
        EXPECT_EQ(mend_spare_bits(spare, copy), is_spare ? 1u : 0u) << name << field.name << bit;
        if (!is_spare) copy[at] ^= static_cast<std::uint8_t>(1 << (bit % 8));
        ASSERT_EQ(std::memcmp(copy.data(), image.data(), image.size()), 0) << name;
      }
    }
    EXPECT_GT(spare_bits, 0) << name;
  }
}

// The scale of our own types has 4 mantissa bits and no sign: half of the packed half is known.
TEST(SpareBits, OwnTypesKnowHalfOfTheirPackedScale) {
  for (const char* name : {"CB2", "CB3", "CB4"}) {
    const auto packed = pack(name, 256, 1024);
    const SpareBits spare = find_spare_bits(*packed->matrix);
    ASSERT_EQ(spare.fields.size(), 2u) << name;
    EXPECT_EQ(spare.fields[0].zeros & 0xc03f, 0xc03f) << name;
    EXPECT_EQ(spare.fields[1].zeros & 0x80, 0x80) << name;
  }
}

TEST(SpareBits, AFewValuesMakeNoRule) {
  const auto packed = pack("Q4_K", 16, 256);
  for (const SpareField& field : find_spare_bits(*packed->matrix).fields)
    EXPECT_EQ(field.spare_bits(), 0);
}

}  // namespace
}  // namespace checkbit
