// Checks and parity against arithmetic written from the definitions, and mending of every kind of
// damage. tests/oracles/check_protect.py is the second oracle.

#include "protect/block_code.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "base/random.h"
#include "base/test_stride.h"
#include "base/thread_pool.h"

namespace checkbit {
namespace {

std::uint8_t multiply_by_hand(std::uint8_t a, std::uint8_t b) {
  unsigned product = 0;
  for (int bit = 0; bit < 8; ++bit) {
    if ((b >> bit & 1) != 0) product ^= static_cast<unsigned>(a) << bit;
  }
  for (int bit = 14; bit >= 8; --bit) {
    if ((product >> bit & 1) != 0) product ^= 0x11dU << (bit - 8);
  }
  return static_cast<std::uint8_t>(product);
}

std::vector<std::uint8_t> random_bytes(std::size_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<std::uint8_t> bytes(count);
  std::ranges::generate(bytes, [&] { return static_cast<std::uint8_t>(random.next()); });
  return bytes;
}

/// A span whose blocks begin at a multiple of 8, and its code.
struct Sealed {
  explicit Sealed(std::size_t size, CodeShape shape = {}, ThreadPool* pool = nullptr)
      : right(random_bytes(size, size + 7)), bytes(right) {
    auto computed = SpanCode::compute(bytes, shape, pool);
    CB_CHECK(computed.ok());
    code = std::make_unique<SpanCode>(std::move(*computed));
  }
  void spoil(std::uint64_t first_block, std::uint64_t count) {
    for (std::uint64_t b = first_block * kCodeBlockBytes;
         b < std::min<std::uint64_t>(bytes.size(), (first_block + count) * kCodeBlockBytes); ++b)
      bytes[b] = static_cast<std::uint8_t>(~bytes[b] + 3);
  }
  std::uint64_t blocks() const { return code->geometry().blocks(); }
  void flip(std::uint64_t bit) { bytes[bit / 8] ^= static_cast<std::uint8_t>(1 << (bit % 8)); }
  /// Mends every stripe; true when nothing was impossible.
  bool mend_all() {
    bool all = true;
    for (std::uint64_t stripe = 0; stripe < code->geometry().stripes(); ++stripe) {
      for (const auto& one : code->mend_stripe(bytes, stripe))
        all = all && one.mend != Mend::impossible;
    }
    return all;
  }
  bool clean() {
    for (std::uint64_t stripe = 0; stripe < code->geometry().stripes(); ++stripe)
      if (!code->mend_stripe(bytes, stripe).empty()) return false;
    return bytes == right;
  }
  std::vector<std::uint8_t> right;
  std::vector<std::uint8_t> bytes;
  std::unique_ptr<SpanCode> code;
};

TEST(BlockCheck, IsThePublishedCrc) {
  const std::string_view digits = "123456789";
  EXPECT_EQ(crc64({reinterpret_cast<const std::uint8_t*>(digits.data()), digits.size()}),
            0x995DC9BBDF1939FA);  // CRC-64/XZ, its published check value
  BlockBytes padded{};
  std::ranges::copy(digits, padded.begin());
  EXPECT_EQ(block_check(padded), block_check({padded.data(), digits.size()}));
}

TEST(BlockCheck, EverySingleFlipIsLocated) {
  auto block = random_bytes(kCodeBlockBytes, 1);
  const std::uint64_t right = block_crc(block);
  const auto stride = static_cast<std::uint32_t>(test_stride());
  for (std::uint32_t bit = 0; bit < kCodeBlockBytes * 8; bit += stride) {
    block[bit / 8] ^= static_cast<std::uint8_t>(1 << (bit % 8));
    const auto found = flipped_bit(right ^ block_crc(block));
    ASSERT_TRUE(found && !found->in_check && found->index == bit) << bit;
    block[bit / 8] ^= static_cast<std::uint8_t>(1 << (bit % 8));
  }
  EXPECT_TRUE(flipped_bit(1ULL << 63)->in_check);
  EXPECT_FALSE(flipped_bit(0));
}

TEST(BlockCheck, NoTwoFlipsLookLikeOne) {
  const auto block = random_bytes(kCodeBlockBytes, 2);
  Random random(3);
  for (int i = 0; i < 20000; ++i) {
    auto hit = block;
    const auto a = random.below(kCodeBlockBytes * 8);
    const auto b = random.below(kCodeBlockBytes * 8);
    if (a == b) continue;
    for (const auto bit : {a, b}) hit[bit / 8] ^= static_cast<std::uint8_t>(1 << (bit % 8));
    ASSERT_FALSE(flipped_bit(block_crc(block) ^ block_crc(hit))) << a << " " << b;
  }
}

TEST(StripeCode, ParityIsTheSumFromTheDefinition) {
  for (const CodeShape shape : {CodeShape{64, 2}, CodeShape{64, 4}, CodeShape{5, 3}}) {
    const StripeCode code(shape);
    const auto data = random_bytes(shape.data_blocks * kCodeBlockBytes, 4);
    std::vector<std::uint8_t> parity(shape.parity_blocks * kCodeBlockBytes);
    std::vector<const std::uint8_t*> sources;
    std::vector<std::uint8_t*> targets;
    for (std::uint32_t i = 0; i < shape.data_blocks; ++i)
      sources.push_back(data.data() + i * kCodeBlockBytes);
    for (std::uint32_t i = 0; i < shape.parity_blocks; ++i)
      targets.push_back(parity.data() + i * kCodeBlockBytes);
    code.encode(sources, targets);
    std::vector<std::uint8_t> added(parity.size());
    for (std::uint32_t j = shape.data_blocks; j-- > 0;) code.add(j, sources[j], added.data());
    EXPECT_EQ(added, parity);
    for (std::uint32_t row = 0; row < shape.parity_blocks; ++row) {
      for (std::uint32_t j = 0; j < shape.data_blocks; ++j)
        ASSERT_EQ(multiply_by_hand(code.coefficient(row, j),
                                   static_cast<std::uint8_t>((shape.data_blocks + row) ^ j)),
                  1);
      for (std::size_t at = 0; at < kCodeBlockBytes; at += 97) {
        std::uint8_t sum = 0;
        for (std::uint32_t j = 0; j < shape.data_blocks; ++j)
          sum ^= multiply_by_hand(code.coefficient(row, j), sources[j][at]);
        ASSERT_EQ(sum, targets[row][at]) << row << " " << at;
      }
    }
  }
}

TEST(SpanCode, AnyLossWithinParityComesBack) {
  for (const std::uint32_t rows : {2U, 4U}) {
    Sealed sealed(64 * kCodeBlockBytes, {64, rows});
    Random random(rows);
    for (int round = 0; round < 60; ++round) {
      std::vector<std::uint64_t> order(64);
      std::iota(order.begin(), order.end(), 0);
      for (std::uint32_t i = 0; i < rows; ++i) {
        std::swap(order[i], order[i + random.below(64 - i)]);
        sealed.spoil(order[i], 1);
      }
      ASSERT_EQ(sealed.code->mend(sealed.bytes, order[0]), Mend::parity);
      ASSERT_EQ(sealed.bytes, sealed.right);
    }
    for (std::uint64_t block = 0; block <= rows; ++block) sealed.spoil(block * 3, 1);
    const auto before = sealed.bytes;
    EXPECT_EQ(sealed.code->mend(sealed.bytes, 0), Mend::impossible);
    EXPECT_EQ(sealed.bytes, before) << "what cannot be proven right is not written";
  }
}

TEST(SpanCode, AnyRunOfParityLengthAndTheTailComeBack) {
  for (const std::size_t size :
       {1000 * kCodeBlockBytes + 5, 640 * kCodeBlockBytes, 129 * kCodeBlockBytes - 1}) {
    ThreadPool pool(2);
    Sealed sealed(size, {64, 2}, &pool);
    const std::uint64_t run = sealed.code->geometry().stripes() * 2;
    for (std::uint64_t at = 0; at + run <= sealed.blocks(); at += 37) {
      sealed.spoil(at, run);
      ASSERT_TRUE(sealed.mend_all() && sealed.bytes == sealed.right) << size << " " << at;
    }
    sealed.spoil(sealed.blocks() - run, run);
    EXPECT_TRUE(sealed.mend_all() && sealed.clean()) << size;
  }
}

TEST(SpanCode, SpansOfEveryShortLength) {
  for (const std::size_t size :
       {0UL, 1UL, 7UL, 4095UL, 4096UL, 4097UL, 64 * 4096UL, 64 * 4096UL + 1, 65 * 4096UL - 3}) {
    Sealed sealed(size);
    EXPECT_TRUE(sealed.clean()) << size;
    if (size == 0) continue;
    sealed.spoil(sealed.blocks() - 1, 1);
    EXPECT_FALSE(sealed.code->agrees(sealed.bytes, sealed.blocks() - 1)) << size;
    EXPECT_TRUE(sealed.mend_all() && sealed.clean()) << size;
  }
}

TEST(SpanCode, OneBitNeedsNoParity) {
  Sealed sealed(64 * kCodeBlockBytes);
  for (std::uint64_t block = 0; block < 64; ++block) sealed.flip(block * 32768 + block * 511);
  EXPECT_EQ(sealed.code->damaged(sealed.bytes, 0, 64).size(), 64);
  for (const auto& one : sealed.code->mend_stripe(sealed.bytes, 0)) EXPECT_EQ(one.mend, Mend::bit);
  EXPECT_TRUE(sealed.clean());
}

TEST(SpanCode, HitChecksAndParityAreToldFromHitBlocks) {
  Sealed sealed(70 * kCodeBlockBytes);
  sealed.code->checks()[3].crc ^= 1ULL << 40;
  EXPECT_EQ(sealed.code->mend(sealed.bytes, 3), Mend::check);
  sealed.code->checks()[3].second ^= 1;
  EXPECT_EQ(sealed.code->mend(sealed.bytes, 3), Mend::check);
  sealed.code->checks()[3] = {123, 456};
  EXPECT_EQ(sealed.code->mend(sealed.bytes, 3), Mend::check);
  sealed.code->parity()[100] ^= 0x18;
  sealed.code->parity_checks()[1].crc ^= 6;  // row 1 of the same stripe
  const auto mended = sealed.code->mend_stripe(sealed.bytes, 0);
  ASSERT_EQ(mended.size(), 2);
  EXPECT_EQ(mended[0].mend, Mend::parity);
  EXPECT_EQ(mended[0].position, 64);
  EXPECT_EQ(mended[1].mend, Mend::check);
  EXPECT_EQ(mended[1].position, 65);
  EXPECT_TRUE(sealed.clean());
}

// Two faults anywhere: in blocks, checks and parity, in the same place or not. Each is mended, and
// never to something else.
TEST(SpanCode, DoubleFaultsAnywhereAreMended) {
  Sealed sealed(130 * kCodeBlockBytes + 77);
  Random random(11);
  const auto hit = [&](std::uint64_t near) {
    const auto one_of = [&](std::span<BlockCheck> checks) {
      BlockCheck& check = checks[near % checks.size()];
      if (random.below(5) == 0) {
        check.second ^= static_cast<std::uint16_t>(1 << random.below(16));
      } else {
        check.crc ^= 1ULL << random.below(64);
      }
    };
    switch (random.below(4)) {
      case 0:
        return one_of(sealed.code->checks());
      case 1:
        return one_of(sealed.code->parity_checks());
      case 2: {
        const auto bit = near % 6 * kCodeBlockBytes * 8 + random.below(kCodeBlockBytes * 8);
        sealed.code->parity()[bit / 8] ^= static_cast<std::uint8_t>(1 << (bit % 8));
        return;
      }
      default:
        return sealed.flip((near * kCodeBlockBytes * 8 + random.below(8 * 4096)) %
                           (sealed.bytes.size() * 8));
    }
  };
  const int rounds = 2000 / static_cast<int>(test_stride()) + 50;
  for (int round = 0; round < rounds; ++round) {
    const std::uint64_t first = random.below(131);
    hit(first);
    hit(random.below(2) == 0 ? first : random.below(131));
    ASSERT_TRUE(sealed.mend_all()) << round;
    ASSERT_EQ(sealed.bytes, sealed.right) << round;
  }
  EXPECT_TRUE(sealed.clean());
}

TEST(CodeShapes, OutsideTheLimitsAreRefused) {
  for (const CodeShape shape : {CodeShape{0, 2}, CodeShape{64, 0}, CodeShape{129, 2}, {64, 5}})
    EXPECT_EQ(check_shape(shape).error().kind, ErrorKind::invalid);
}

}  // namespace
}  // namespace checkbit
