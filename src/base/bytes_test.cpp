// Bounded reads, checked arithmetic, aligned memory and the memory of the process.

#include "base/bytes.h"

#include <gtest/gtest.h>

#include <array>
#include <utility>

#include "base/aligned_buffer.h"
#include "base/resident_memory.h"

namespace checkbit {
namespace {

TEST(ByteReader, ReadsToTheEndAndNoFurther) {
  constexpr std::array<std::uint8_t, 7> kBytes = {1, 2, 3, 4, 5, 6, 7};
  ByteReader reader(kBytes);
  EXPECT_EQ(reader.read<std::uint32_t>(), 0x04030201u);
  EXPECT_EQ(reader.read<std::uint32_t>(), std::nullopt);
  EXPECT_EQ(reader.position(), 4u) << "a failed read stays where it was";
  EXPECT_EQ(reader.take(4), std::nullopt);
  EXPECT_EQ(reader.take(~std::uint64_t{0}), std::nullopt);
  const auto rest = reader.take(3);
  ASSERT_TRUE(rest);
  EXPECT_EQ((*rest)[2], 7);
  EXPECT_EQ(reader.remaining(), 0u);
  EXPECT_EQ(reader.read<std::uint8_t>(), std::nullopt);
  EXPECT_TRUE(reader.take(0));
}

TEST(CheckedArithmetic, ReportsOverflow) {
  constexpr std::uint64_t kMost = ~std::uint64_t{0};
  EXPECT_EQ(checked_multiply(1u << 31, 1u << 31), std::uint64_t{1} << 62);
  EXPECT_EQ(checked_multiply(std::uint64_t{1} << 32, std::uint64_t{1} << 32), std::nullopt);
  EXPECT_EQ(checked_multiply(kMost, 0), 0u);
  EXPECT_EQ(checked_add(kMost, 0), kMost);
  EXPECT_EQ(checked_add(kMost, 1), std::nullopt);
}

TEST(AlignedBuffer, IsZeroedAlignedAndWritable) {
  for (const std::size_t size : {std::size_t{1}, std::size_t{4096}, std::size_t{5000}, (std::size_t{2} << 20) + 17}) {
    auto buffer = AlignedBuffer::allocate(size, "test");
    ASSERT_TRUE(buffer.ok()) << buffer.error().message;
    EXPECT_EQ(buffer->size(), size);
    const std::uintptr_t alignment = size >= 2u << 20 ? 2u << 20 : 4096;
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer->data()) % alignment, 0u);
    EXPECT_EQ(buffer->data()[0], 0);
    EXPECT_EQ(buffer->data()[size - 1], 0);
    buffer->data()[size - 1] = 9;
    AlignedBuffer moved = *std::move(buffer);
    EXPECT_EQ(moved.data()[size - 1], 9);
    AlignedBuffer assigned;
    assigned = std::move(moved);
    EXPECT_EQ(assigned.data()[size - 1], 9);
  }
  const auto empty = AlignedBuffer::allocate(0, "nothing");
  ASSERT_TRUE(empty.ok());
  EXPECT_EQ(empty->size(), 0u);
}

TEST(AlignedBuffer, TooMuchIsAnErrorThatNamesThePurpose) {
  for (const std::size_t size : {SIZE_MAX, SIZE_MAX / 2}) {
    const auto buffer = AlignedBuffer::allocate(size, "KV cache");
    ASSERT_FALSE(buffer.ok());
    EXPECT_EQ(buffer.error().kind, ErrorKind::memory);
    EXPECT_EQ(buffer.error().message.rfind("KV cache: ", 0), 0u) << buffer.error().message;
  }
}

TEST(ResidentMemory, GrowsByWhatIsTouched) {
  const std::uint64_t before = resident_bytes();
  ASSERT_GT(before, 0u);
  constexpr std::size_t kSize = 32u << 20;
  const auto buffer = AlignedBuffer::allocate(kSize, "test");
  ASSERT_TRUE(buffer.ok());
  for (std::size_t i = 0; i < kSize; i += 4096) buffer->data()[i] = 1;
  EXPECT_GE(resident_bytes(), before + kSize * 3 / 4);
  EXPECT_GE(peak_resident_bytes(), resident_bytes() * 9 / 10);
}

}  // namespace
}  // namespace checkbit
