#include "base/resident_memory.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/aligned_buffer.h"

namespace checkbit {
namespace {

class ResidentMemoryTest : public ::testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(path_); }
  const std::string& written(const std::string& text) {
    std::ofstream(path_) << text;
    return path_;
  }
  std::string path_ = ::testing::TempDir() + "checkbit_maps_" +
                      ::testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST_F(ResidentMemoryTest, LargePagesOfTheMappingsThatMemoryLiesIn) {
  const auto* at = reinterpret_cast<const std::uint8_t*>(std::uintptr_t{0x7f0000200000});
  const std::span<const std::uint8_t> memory(at, 8u << 20);
  const std::string& maps = written(
      "7f0000000000-7f0000200000 rw-p 00000000 00:00 0\nAnonHugePages:      2048 kB\n"
      "7f0000200000-7f0000800000 rw-p 00000000 00:00 0\nSize: 6144 kB\nAnonHugePages:  4096 kB\n"
      "7f0000800000-7f0000a00000 rw-p 00000000 00:00 0\nAnonHugePages:         0 kB\n"
      "7f0000a00000-7f0000c00000 rw-p 00000000 00:00 0 [heap]\nAnonHugePages:  2048 kB\n");
  EXPECT_EQ(large_page_bytes(memory, maps), 4u << 20);
  EXPECT_EQ(large_page_bytes(memory.first(1u << 20), maps), 1u << 20);
  EXPECT_EQ(large_page_bytes({}, maps), 0u);
  EXPECT_EQ(large_page_bytes(memory, maps + ".none"), 0u);
}

TEST_F(ResidentMemoryTest, OffIsOnlyWhatSaysNever) {
  EXPECT_TRUE(large_pages_are_off(written("always madvise [never]\n")));
  EXPECT_FALSE(large_pages_are_off(written("always [madvise] never\n")));
  EXPECT_FALSE(large_pages_are_off(written("[always] madvise never\n")));
  EXPECT_FALSE(large_pages_are_off(path_ + ".none"));
}

TEST(ResidentMemory, CountsWhatIsTouched) {
  constexpr std::size_t kBytes = 64u << 20;
  const std::uint64_t before = resident_bytes();
  auto buffer = AlignedBuffer::allocate(kBytes, "test");
  ASSERT_TRUE(buffer.ok());
  EXPECT_LT(resident_bytes(), before + kBytes / 2);
  std::memset(buffer->data(), 1, kBytes);
  EXPECT_GE(resident_bytes(), before + kBytes * 9 / 10);
  EXPECT_GE(peak_resident_bytes(), before + kBytes * 9 / 10);
  EXPECT_LE(large_page_bytes({buffer->data(), buffer->size()}), kBytes);
}

}  // namespace
}  // namespace checkbit
