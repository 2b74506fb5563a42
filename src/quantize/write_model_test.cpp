#include "quantize/write_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "base/progress.h"
#include "file/metadata_keys.h"

namespace checkbit {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

class WriteModel : public ::testing::Test {
 protected:
  WriteModel() {
    fs::create_directories(folder_);
    fs::copy_file(fs::path(CHECKBIT_SOURCE_DIR) / "tests/data/tiny/llama-yarn.gguf", source_);
  }
  ~WriteModel() override {
    clear_cancel();
    fs::remove_all(folder_);
  }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  Status write(const std::string& recipe, const std::string& output, const Receipt& receipt = {}) {
    CB_TRY(const ModelFile file, ModelFile::open(source_));
    CB_TRY(const Plan plan, plan_recipe(file, recipe, true, true));
    return write_model(file, plan, receipt, nullptr, output, pool_);
  }
  std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }
  /// Puts bytes over the start of a row of the first tensor of a format.
  std::string damage(std::string_view format, std::uint64_t row,
                     std::initializer_list<unsigned> bytes) {
    std::string name;
    std::uint64_t offset = 0;
    {
      const auto file = ModelFile::open(source_);
      for (const ModelTensor& t : file->tensors()) {
        if (t.info.format->name != format || t.info.rows() <= row) continue;
        name = t.info.name;
        offset = static_cast<std::uint64_t>(t.bytes.data() - file->parts()[0].bytes().data()) +
                 row * t.info.row_bytes();
        break;
      }
    }
    std::fstream stream(source_, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(static_cast<std::streamoff>(offset));
    for (const unsigned byte : bytes) stream.put(static_cast<char>(byte));
    return name;
  }

  fs::path folder_ = fs::temp_directory_path() /
                     ("checkbit_write_" +
                      std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
  std::string source_ = (folder_ / "source.gguf").string();
  ThreadPool pool_{2};
};

TEST_F(WriteModel, ACopyHoldsTheSameBytes) {
  const auto file = ModelFile::open(source_);
  ASSERT_TRUE(file.ok());
  const auto plan = plan_copy(*file);
  ASSERT_TRUE(plan.ok());
  ASSERT_TRUE(write_model(*file, *plan, {}, nullptr, path("copy.gguf"), pool_).ok());
  const auto copy = ModelFile::open(path("copy.gguf"));
  ASSERT_TRUE(copy.ok());
  for (const ModelTensor& t : file->tensors()) {
    const ModelTensor* same = copy->find(t.info.name);
    ASSERT_NE(same, nullptr);
    EXPECT_TRUE(std::ranges::equal(t.bytes, same->bytes)) << t.info.name;
  }
}

TEST_F(WriteModel, RowsAreWhatTheEncoderMakesOfThem) {
  ASSERT_TRUE(write("CB4", path("out.gguf")).ok());
  const auto file = ModelFile::open(source_);
  const auto out = ModelFile::open(path("out.gguf"));
  ASSERT_TRUE(file.ok() && out.ok());
  const Format& target = *find_format("CB4");
  for (const ModelTensor& t : out->tensors()) {
    if (t.info.format != &target) continue;
    const GgufTensor& from = file->find(t.info.name)->info;
    std::vector<float> row(from.columns());
    std::vector<std::uint8_t> encoded(t.info.row_bytes());
    const std::uint64_t last = from.rows() - 1;
    from.format->decode(file->find(t.info.name)->bytes.data() + last * from.row_bytes(),
                        row.size() / static_cast<std::size_t>(from.format->block_elements),
                        row.data());
    target.encode(row.data(), row.size() / static_cast<std::size_t>(target.block_elements), nullptr,
                  encoded.data());
    EXPECT_TRUE(std::ranges::equal(encoded, t.bytes.last(encoded.size()))) << t.info.name;
  }
}

TEST_F(WriteModel, TheReceiptIsThereAndAnOldLossIsNot) {
  const Receipt first{.source_sha256 = "abc", .command = "checkbit quantize x", .loss = "KL 0.5"};
  ASSERT_TRUE(write("Q8_0", path("first.gguf"), first).ok());
  const auto file = ModelFile::open(path("first.gguf"));
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->metadata().get_string(kKeyReceiptSource), "abc");
  EXPECT_EQ(file->metadata().get_string(kKeyReceiptCommand), "checkbit quantize x");
  EXPECT_EQ(file->metadata().get_string(kKeyReceiptLoss), "KL 0.5");
  EXPECT_THAT(std::string(file->metadata().get_string(kKeyReceiptAllocation).value_or("")),
              HasSubstr("Q8_0"));
  const auto plan = plan_recipe(*file, "CB3", true, false);  // and a file of ours can be a source
  ASSERT_TRUE(plan.ok());
  ASSERT_TRUE(write_model(*file, *plan, {}, nullptr, path("second.gguf"), pool_).ok());
  const auto second = ModelFile::open(path("second.gguf"));
  ASSERT_TRUE(second.ok());
  EXPECT_FALSE(second->metadata().get_string(kKeyReceiptLoss).has_value());
}

TEST_F(WriteModel, TheLossIsPutInBeforeTheFileHasItsName) {
  const auto file = ModelFile::open(source_);
  ASSERT_TRUE(file.ok());
  const auto plan = plan_recipe(*file, "CB4", true, false);
  ASSERT_TRUE(plan.ok());
  Receipt receipt{.source_sha256 = "a", .command = "b", .loss = loss_text(0, 1016)};
  std::ofstream(path("out.gguf")) << "old";
  {
    auto writer = write_unnamed(*file, *plan, receipt, nullptr, path("out.gguf"), pool_);
    ASSERT_TRUE(writer.ok()) << writer.error().message;
    EXPECT_TRUE(ModelFile::open(writer->temporary_path()).ok());
    EXPECT_EQ(fs::file_size(path("out.gguf")), 3u);
    ASSERT_TRUE(writer->replace_text(kKeyReceiptLoss, loss_text(12.3456789, 1016)).ok());
    ASSERT_TRUE(writer->finish().ok());
  }
  const auto out = ModelFile::open(path("out.gguf"));
  ASSERT_TRUE(out.ok()) << out.error().message;
  EXPECT_THAT(std::string(out->metadata().get_string(kKeyReceiptLoss).value_or("")),
              HasSubstr("KL divergence 12.34567 nats per token over 1016 tokens"));
  ASSERT_TRUE(write("CB4", path("same.gguf")).ok());
  const auto same = ModelFile::open(path("same.gguf"));
  ASSERT_TRUE(same.ok());
  for (const ModelTensor& t : out->tensors())
    EXPECT_TRUE(std::ranges::equal(t.bytes, same->find(t.info.name)->bytes)) << t.info.name;
}

TEST_F(WriteModel, EveryLossIsAsLongAsEveryOther) {
  for (const double loss : {0.0, 1e-9, 0.25, 9.9999999, 10.0, 123.456, 99999.5})
    EXPECT_EQ(loss_text(loss, 7).size(), loss_text(0, 7).size()) << loss;
}

TEST_F(WriteModel, OwnFormatsCanBeQuantizedAgain) {
  ASSERT_TRUE(write("CB3", path("own.gguf")).ok());
  const auto own = ModelFile::open(path("own.gguf"));
  ASSERT_TRUE(own.ok());
  const auto plan = plan_recipe(*own, "Q8_0", true, false);
  ASSERT_TRUE(plan.ok());
  ASSERT_TRUE(write_model(*own, *plan, {}, nullptr, path("again.gguf"), pool_).ok());
  const auto again = ModelFile::open(path("again.gguf"));
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_FALSE(again->metadata().find(kKeyTensorNames));
}

TEST_F(WriteModel, RefusesANameOfOnePartOfASet) {
  const Status refused = write("CB3", path("out-00002-of-00003.gguf"));
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, HasSubstr("one part of a split model"));
  EXPECT_TRUE(write("CB3", path("out-00004-of-00003.gguf")).ok()) << "no part: 4 of 3";
}

TEST_F(WriteModel, RefusesToWriteOverItsSource) {
  fs::create_symlink(source_, path("link.gguf"));
  fs::create_hard_link(source_, path("hard.gguf"));
  fs::create_directory(path("folder"));
  const auto size = fs::file_size(source_);
  for (const std::string& output : std::vector<std::string>{
           source_, path("link.gguf"), path("hard.gguf"), path("folder/../source.gguf")}) {
    const Status refused = write("CB3", output);
    ASSERT_FALSE(refused.ok()) << output;
    EXPECT_EQ(refused.error().kind, ErrorKind::invalid);
    EXPECT_THAT(refused.error().message, HasSubstr("overwrite the source"));
  }
  EXPECT_EQ(fs::file_size(source_), size);
}

TEST_F(WriteModel, RefusesFoldersAndPathsInMissingOnes) {
  const Status folder = write("CB3", folder_.string());
  ASSERT_FALSE(folder.ok());
  EXPECT_THAT(folder.error().message, HasSubstr("is a folder"));
  const Status missing = write("CB3", path("nowhere/out.gguf"));
  ASSERT_FALSE(missing.ok());
  EXPECT_THAT(missing.error().message, HasSubstr("nowhere"));
}

TEST_F(WriteModel, NanInAWeightNamesTensorAndFirstRow) {
  damage("F16", 9, {0x00, 0x7c});  // infinity
  const std::string name = damage("F16", 3, {0x00, 0x7e});
  ASSERT_NE(name, "");
  const Status refused = write("CB4", path("out.gguf"));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::corrupt);
  EXPECT_THAT(refused.error().message, HasSubstr("tensor " + name));
  EXPECT_THAT(refused.error().message, HasSubstr("row 3 "));
  EXPECT_EQ(files(), 1u);  // nothing but the source
}

TEST_F(WriteModel, InfinityInABlockThatIsCopiedIsRefused) {
  const std::string name = damage("Q8_0", 0, {0x00, 0x7c});
  ASSERT_NE(name, "");
  const Status refused = write("Q8_0", path("out.gguf"));
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, HasSubstr(name));
  EXPECT_EQ(files(), 1u);
}

TEST_F(WriteModel, CancelledLeavesNothingAndTheOldFile) {
  std::ofstream(path("out.gguf")) << "old";
  request_cancel();
  EXPECT_FALSE(write("CB4", path("out.gguf")).ok());
  EXPECT_EQ(files(), 2u);
  EXPECT_EQ(fs::file_size(path("out.gguf")), 3u);
}

}  // namespace
}  // namespace checkbit
