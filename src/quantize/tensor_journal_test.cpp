#include "quantize/tensor_journal.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace checkbit {
namespace {

using Bytes = std::vector<std::uint8_t>;

class TensorJournalTest : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::remove(path_); }
  void TearDown() override { std::filesystem::remove(path_); }

  /// As a killed process leaves it: two tensors kept, nothing removed.
  void leave_behind() {
    const std::string aside = path_ + ".aside";
    {
      auto journal = TensorJournal::open(output_, "a job");
      ASSERT_TRUE(journal.ok()) << journal.error().message;
      ASSERT_TRUE(journal->keep("first", first_).ok());
      ASSERT_TRUE(journal->keep("second", second_).ok());
      std::filesystem::copy_file(path_, aside, std::filesystem::copy_options::overwrite_existing);
    }
    EXPECT_FALSE(std::filesystem::exists(path_));  // done or stopped: nothing stays
    std::filesystem::rename(aside, path_);
  }

  const std::string output_ = ::testing::TempDir() + "journal-test.gguf";
  const std::string path_ = TensorJournal::path_for(output_);
  const Bytes first_ = Bytes(1000, 7), second_ = Bytes(500, 9);
};

TEST_F(TensorJournalTest, GivesBackWhatWasKept) {
  leave_behind();
  const auto journal = TensorJournal::open(output_, "a job");
  ASSERT_TRUE(journal.ok());
  EXPECT_EQ(journal->tensors(), 2u);
  EXPECT_FALSE(journal->replaced_another());
  ASSERT_TRUE(journal->holds("second", second_.size()));
  EXPECT_FALSE(journal->holds("second", second_.size() + 1));
  EXPECT_FALSE(journal->holds("third", 1));
  Bytes out(second_.size());
  ASSERT_TRUE(journal->read("second", out).ok());
  EXPECT_EQ(out, second_);
}

TEST_F(TensorJournalTest, AnotherJobSaysSoAndBeginsAnew) {
  leave_behind();
  const auto journal = TensorJournal::open(output_, "another job");
  ASSERT_TRUE(journal.ok());
  EXPECT_EQ(journal->tensors(), 0u);
  EXPECT_TRUE(journal->replaced_another());
}

TEST_F(TensorJournalTest, EveryLengthOfAHalfWrittenFileKeepsWhatIsWhole) {
  leave_behind();
  const std::uint64_t size = std::filesystem::file_size(path_);
  const std::string aside = path_ + ".whole";
  std::filesystem::rename(path_, aside);
  for (std::uint64_t length = 0; length < size; length += 13) {
    std::filesystem::copy_file(aside, path_, std::filesystem::copy_options::overwrite_existing);
    std::filesystem::resize_file(path_, length);
    auto journal = TensorJournal::open(output_, "a job");
    ASSERT_TRUE(journal.ok());
    EXPECT_LT(journal->tensors(), 2u) << length;
    ASSERT_TRUE(journal->keep("second", second_).ok());
    Bytes out(second_.size());
    ASSERT_TRUE(journal->read("second", out).ok());
    EXPECT_EQ(out, second_) << length;
  }
  std::filesystem::remove(aside);
}

TEST_F(TensorJournalTest, AChangedByteDropsItsTensorAndWhatFollows) {
  leave_behind();
  const std::uint64_t size = std::filesystem::file_size(path_);
  std::fstream file(path_, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(static_cast<std::streamoff>(size) - 3);
  file.put(1);
  file.close();
  const auto journal = TensorJournal::open(output_, "a job");
  ASSERT_TRUE(journal.ok());
  EXPECT_EQ(journal->tensors(), 1u);
  EXPECT_TRUE(journal->holds("first", first_.size()));
}

}  // namespace
}  // namespace checkbit
