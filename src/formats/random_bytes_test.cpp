// Any bytes may stand in a file: decode, unpack and is_finite of every format on random blocks in
// buffers of exactly their size (the sanitizer builds see a step outside), and the bounds that the
// integer kernels rely on.

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "formats/format.h"

namespace checkbit {
namespace {

constexpr std::size_t kBlocks = 64;
constexpr int kRounds = 20;

/// Bytes and floats of their own allocation, so that nothing follows the last one.
struct Buffers {
  explicit Buffers(const Format& format)
      : blocks(new std::uint8_t[kBlocks * format.block_bytes]),
        values(new float[kBlocks * format.block_elements]) {}
  std::unique_ptr<std::uint8_t[]> blocks;
  std::unique_ptr<float[]> values;
};

class RandomBytes : public testing::TestWithParam<const Format*> {
 protected:
  const Format& format() const { return *GetParam(); }

  /// Random blocks; in odd rounds most bits alike, which finds other corners.
  void fill(std::uint8_t* bytes, std::size_t n, int round) {
    for (std::size_t i = 0; i < n; ++i) {
      const unsigned a = generator_();
      const unsigned b = generator_();
      bytes[i] = static_cast<std::uint8_t>(round % 4 == 1   ? a & b & a >> 9
                                           : round % 4 == 3 ? a | b | a >> 9
                                                            : a);
    }
  }

 private:
  std::mt19937 generator_{20240229};
};

std::string format_name(const testing::TestParamInfo<const Format*>& format) {
  return std::string(format.param->name);
}
INSTANTIATE_TEST_SUITE_P(All, RandomBytes,
                         testing::ValuesIn(all_formats().begin(), all_formats().end()),
                         format_name);

TEST_P(RandomBytes, DecodeStaysInside) {
  Buffers buffers(format());
  for (int round = 0; round < kRounds; ++round) {
    fill(buffers.blocks.get(), kBlocks * format().block_bytes, round);
    // Every value must be written: two different fillings may not shine through.
    std::memset(buffers.values.get(), 0x11, kBlocks * format().block_elements * sizeof(float));
    format().decode(buffers.blocks.get(), kBlocks, buffers.values.get());
    const std::vector<float> first(buffers.values.get(),
                                   buffers.values.get() + kBlocks * format().block_elements);
    std::memset(buffers.values.get(), 0xee, kBlocks * format().block_elements * sizeof(float));
    format().decode(buffers.blocks.get(), kBlocks, buffers.values.get());
    ASSERT_EQ(std::memcmp(first.data(), buffers.values.get(), first.size() * sizeof(float)), 0);
  }
}

TEST_P(RandomBytes, DecodeOfNothingTouchesNothing) {
  Buffers buffers(format());
  format().decode(buffers.blocks.get() + kBlocks * format().block_bytes, 0,
                  buffers.values.get() + kBlocks * format().block_elements);
  format().decode(nullptr, 0, nullptr);
}

TEST_P(RandomBytes, IsFiniteStaysInside) {
  const std::unique_ptr<std::uint8_t[]> block(new std::uint8_t[format().block_bytes]);
  for (int round = 0; round < kRounds * 20; ++round) {
    fill(block.get(), format().block_bytes, round);
    const bool finite = format().is_finite(block.get());
    EXPECT_EQ(finite, format().is_finite(block.get()));
  }
}

/// The largest integer sum over one float scale, activations at their extreme of 127.
std::int64_t largest_sum(const Format& format, const IntegerBlock& block, int group,
                         bool of_values) {
  const IntegerForm& form = format.integer;
  std::int64_t sum = 0;
  for (int i = group * form.scale_elements; i < (group + 1) * form.scale_elements; ++i) {
    const int level = form.table != nullptr ? form.table[block.q[i]] : block.q[i];
    const std::int64_t value = of_values ? level - form.q_offset : level;
    const int sub = form.has_sub_scale ? block.sub_scale[i / form.sub_elements] : 1;
    sum += std::abs(value * sub) * 127;
  }
  return sum;
}

TEST_P(RandomBytes, UnpackStaysInsideAndItsSumsFitIn32Bits) {
  if (format().unpack == nullptr) GTEST_SKIP() << "no integer form";
  const IntegerForm& form = format().integer;
  const std::unique_ptr<std::uint8_t[]> bytes(new std::uint8_t[format().block_bytes]);
  const std::unique_ptr<IntegerBlock> block(new IntegerBlock);
  for (int round = 0; round < kRounds * 20; ++round) {
    fill(bytes.get(), format().block_bytes, round);
    format().unpack(bytes.get(), *block);
    for (int i = 0; i < format().block_elements; ++i) {
      ASSERT_LT(block->q[i], 1 << form.bits) << format().name << " value " << i;
    }
    for (int group = 0; group < format().block_elements / form.scale_elements; ++group) {
      ASSERT_LT(largest_sum(format(), *block, group, true), std::int64_t{1} << 31);
      ASSERT_LT(largest_sum(format(), *block, group, false), std::int64_t{1} << 31);
    }
  }
}

}  // namespace
}  // namespace checkbit
