// Writer and model file together: what is written is what is read, whole or not at all.
#include "file/gguf_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "file/metadata_keys.h"
#include "file/model_file.h"

namespace checkbit {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class GgufWriterTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = fs::temp_directory_path() / "gguf_writer_test_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    path_ = folder_ + "/model.gguf";
  }
  void TearDown() override { fs::remove_all(folder_); }

  /// Two tensors, "a" of 7 x 3 and "b" of 1,000 values.
  static GgufHeader sample_header() {
    GgufHeader header;
    header.metadata.set("general.architecture", GgufValue::of(std::string("llama")));
    header.tensors.push_back({"a", {7, 3}, find_format("F32")});
    header.tensors.push_back({"b", {1000}, find_format("F32")});
    return header;
  }
  static std::vector<std::uint8_t> pattern(std::size_t size, unsigned start) {
    std::vector<std::uint8_t> bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(start + i * 7);
    return bytes;
  }
  static Status write_sample(const std::string& path, const GgufHeader& header,
                             std::size_t piece_bytes) {
    CB_TRY(auto writer, GgufWriter::create(path, header));
    for (std::size_t t = 0; t < header.tensors.size(); ++t) {
      const auto bytes = pattern(writer.header().tensors[t].size_bytes, static_cast<unsigned>(t));
      for (std::size_t start = 0; start < bytes.size(); start += piece_bytes) {
        const std::size_t count = std::min(piece_bytes, bytes.size() - start);
        CB_TRY_STATUS(writer.append(t, std::span(bytes).subspan(start, count)));
      }
    }
    return writer.finish();
  }
  static std::string read(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::size_t file_count() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }

  std::string folder_;
  std::string path_;
};

TEST_F(GgufWriterTest, WhatIsWrittenIsRead) {
  for (const std::size_t piece_bytes : {1, 13, 4096}) {
    const auto status = write_sample(path_, sample_header(), piece_bytes);
    ASSERT_TRUE(status.ok()) << status.error().message;
    const auto model = ModelFile::open(path_);
    ASSERT_TRUE(model.ok()) << model.error().message;
    EXPECT_EQ(model->metadata().get_string("general.architecture"), "llama");
    ASSERT_EQ(model->tensors().size(), 2u);
    for (std::size_t t = 0; t < 2; ++t) {
      const auto bytes = model->tensors()[t].bytes;
      EXPECT_EQ(std::vector(bytes.begin(), bytes.end()),
                pattern(bytes.size(), static_cast<unsigned>(t)));
    }
    EXPECT_EQ(model->find("b"), &model->tensors()[1]);
    EXPECT_EQ(model->find("c"), nullptr);
    EXPECT_EQ(model->size_bytes(), fs::file_size(path_));
    EXPECT_EQ(model->size_bytes() % 32, 0u);
    EXPECT_EQ(file_count(), 1u);
  }
}

TEST_F(GgufWriterTest, OwnFormatsAreReadBack) {
  const auto formats = all_formats();
  const auto own = std::ranges::find_if(formats, [](const Format* format) { return format->own; });
  ASSERT_NE(own, formats.end());
  GgufHeader header = sample_header();
  const auto columns = 4 * static_cast<std::uint64_t>((*own)->block_elements);
  header.tensors[0] = {"a", {columns, 5, 2}, *own};
  ASSERT_TRUE(write_sample(path_, header, 100).ok());
  const auto model = ModelFile::open(path_);
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_EQ(model->find("a")->info.format, *own);
  EXPECT_EQ(model->find("a")->info.dimensions, (std::vector<std::uint64_t>{columns, 5, 2}));
  EXPECT_EQ(model->metadata().find(kKeyTensorNames), nullptr);
}

TEST_F(GgufWriterTest, PagesCanBeDroppedAndReadAgain) {
  ASSERT_TRUE(write_sample(path_, sample_header(), 4096).ok());
  const auto model = ModelFile::open(path_);
  ASSERT_TRUE(model.ok());
  const ModelTensor& tensor = *model->find("b");
  const std::vector before(tensor.bytes.begin(), tensor.bytes.end());
  model->drop_pages(tensor);
  EXPECT_EQ(std::vector(tensor.bytes.begin(), tensor.bytes.end()), before);
}

TEST_F(GgufWriterTest, BytesCanBeCopiedWithoutTheMap) {
  ASSERT_TRUE(write_sample(path_, sample_header(), 4096).ok());
  auto file = MappedFile::open(path_);
  ASSERT_TRUE(file.ok());
  MappedFile moved = *std::move(file);
  const auto some = moved.bytes().subspan(33, 100);
  std::vector<std::uint8_t> copy(some.size());
  EXPECT_TRUE(moved.copy(some, copy.data()));
  EXPECT_EQ(copy, std::vector(some.begin(), some.end()));
  fs::resize_file(path_, 64);
  EXPECT_FALSE(moved.copy(some, copy.data())) << "the file has become shorter";
  moved.close_descriptor();
  EXPECT_FALSE(moved.copy(moved.bytes().first(8), copy.data()));
}

TEST_F(GgufWriterTest, ModelsMoveWithTheirViews) {
  ASSERT_TRUE(write_sample(path_, sample_header(), 4096).ok());
  auto first = ModelFile::open(path_);
  ASSERT_TRUE(first.ok());
  const ModelFile second = *std::move(first);
  ASSERT_NE(second.find("a"), nullptr);
  EXPECT_EQ(second.find("a")->bytes[1], 7);
}

TEST_F(GgufWriterTest, UnreadableHeaderIsNotCommitted) {
  GgufHeader header = sample_header();
  header.tensors[1].name = "a";
  const auto status = write_sample(path_, header, 4096);
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().message,
              HasSubstr("model.gguf: tensor 2 of 2: tensor \"a\" occurs twice"));
  EXPECT_EQ(file_count(), 0u);
}

TEST_F(GgufWriterTest, AbandonedWriterLeavesTheOldFile) {
  std::ofstream(path_) << "old";
  {
    auto writer = GgufWriter::create(path_, sample_header());
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE(writer->append(0, pattern(84, 0)).ok());
  }
  EXPECT_EQ(read(path_), "old");
  EXPECT_EQ(file_count(), 1u);
}

TEST_F(GgufWriterTest, NoRoomIsKnownBeforeTheWork) {
  std::ofstream(path_) << "old";
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{4096, 4096};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) ::_exit(2);
    const auto status = write_sample(path_, sample_header(), 100);
    if (status.ok()) ::_exit(3);
    ::_exit(status.error().kind == ErrorKind::io ? 0 : 4);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(read(path_), "old");
  EXPECT_EQ(file_count(), 1u);
}

TEST_F(GgufWriterTest, KilledWriterLeavesTheOldFile) {
  std::ofstream(path_) << "old";
  const pid_t child = ::fork();
  if (child == 0) {
    auto writer = GgufWriter::create(path_, sample_header());
    if (!writer.ok() || !writer->append(0, pattern(84, 0)).ok()) ::_exit(2);
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(read(path_), "old");
  ASSERT_TRUE(write_sample(path_, sample_header(), 4096).ok());
  EXPECT_EQ(file_count(), 1u);
}

/// Split sets, and files that are none.
class ModelFileTest : public GgufWriterTest {
 protected:
  std::string part(int number, int count = 2) const {
    return fmt::format("{}/m-{:05}-of-{:05}.gguf", folder_, number, count);
  }
  /// One part with one tensor; `number` from 0 as in the metadata.
  void write_part(const std::string& path, const std::string& tensor, std::uint32_t number,
                  std::uint32_t count = 2, std::uint32_t tensors = 2) {
    GgufHeader header;
    header.metadata.set(std::string(kKeySplitNumber), GgufValue::of(number));
    header.metadata.set(std::string(kKeySplitCount), GgufValue::of(count));
    header.metadata.set(std::string(kKeySplitTensors), GgufValue::of(tensors));
    header.tensors.push_back({tensor, {8}, find_format("F32")});
    const auto status = write_sample(path, header, 4096);
    ASSERT_TRUE(status.ok()) << status.error().message;
  }
  void expect_error(const std::string& path, ErrorKind kind, const std::string& message) {
    const auto model = ModelFile::open(path);
    ASSERT_FALSE(model.ok());
    EXPECT_STREQ(to_string(model.error().kind), to_string(kind));
    EXPECT_EQ(model.error().message, message);
  }
};

TEST_F(ModelFileTest, AnyPartOpensTheWholeSet) {
  write_part(part(1), "a", 0);
  write_part(part(2), "b", 1);
  for (const int number : {1, 2}) {
    const auto model = ModelFile::open(part(number));
    ASSERT_TRUE(model.ok()) << model.error().message;
    EXPECT_EQ(model->parts().size(), 2u);
    ASSERT_NE(model->find("b"), nullptr);
    EXPECT_EQ(model->find("b")->part, 1u);
    EXPECT_EQ(model->find("b")->bytes.size(), 32u);
    EXPECT_EQ(model->size_bytes(), fs::file_size(part(1)) + fs::file_size(part(2)));
  }
}

TEST_F(ModelFileTest, MissingPart) {
  write_part(part(1), "a", 0);
  expect_error(part(1), ErrorKind::not_found, part(2) + ": cannot open: No such file or directory");
}

TEST_F(ModelFileTest, PartsOutOfOrder) {
  write_part(part(1), "a", 1);
  write_part(part(2), "b", 0);
  expect_error(part(1), ErrorKind::corrupt,
               part(1) +
                   ": its name says part 1 of 2, its keys \"split.no\" and \"split.count\" "
                   "say otherwise");
}

TEST_F(ModelFileTest, OtherPartCount) {
  write_part(part(1), "a", 0, 3);
  expect_error(part(1), ErrorKind::corrupt,
               part(1) +
                   ": its name says part 1 of 2, its keys \"split.no\" and \"split.count\" "
                   "say otherwise");
}

TEST_F(ModelFileTest, PartUnderAnotherName) {
  write_part(path_, "a", 0);
  expect_error(path_, ErrorKind::invalid,
               path_ +
                   ": is one of 2 parts (key \"split.count\"), but its name does not end in "
                   "-00001-of-00002.gguf, so the others cannot be found; give the parts their "
                   "names back");
}

TEST_F(ModelFileTest, TensorInTwoParts) {
  write_part(part(1), "a", 0);
  write_part(part(2), "a", 1);
  expect_error(part(1), ErrorKind::corrupt, part(1) + ": tensor \"a\" is in two parts");
}

TEST_F(ModelFileTest, OtherTensorCount) {
  write_part(part(1), "a", 0, 2, 3);
  write_part(part(2), "b", 1, 2, 3);
  expect_error(part(1), ErrorKind::corrupt,
               part(1) + ": the parts have 2 tensors, key \"split.tensors.count\" says otherwise");
}

TEST_F(ModelFileTest, Missing) {
  expect_error(path_, ErrorKind::not_found, path_ + ": cannot open: No such file or directory");
  expect_error(folder_ + "/no/model.gguf", ErrorKind::not_found,
               folder_ + "/no/model.gguf: cannot open: No such file or directory");
}

TEST_F(ModelFileTest, Directory) {
  expect_error(folder_, ErrorKind::io, folder_ + ": is a directory, not a file");
}

TEST_F(ModelFileTest, PipeWithoutAWriter) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  expect_error(path_, ErrorKind::io, path_ + ": is a pipe, not a file");
}

TEST_F(ModelFileTest, Device) {
  expect_error("/dev/zero", ErrorKind::io, "/dev/zero: is a device, not a file");
}

TEST_F(ModelFileTest, Empty) {
  std::ofstream(path_) << "";
  expect_error(
      path_, ErrorKind::corrupt,
      path_ + ": truncated file, fetch it again: magic needs 4 bytes and 0 remain at byte 0");
}

TEST_F(ModelFileTest, NotReadable) {
  std::ofstream(path_) << "x";
  fs::permissions(path_, fs::perms::none);
  if (::geteuid() == 0) GTEST_SKIP() << "root reads everything";
  expect_error(path_, ErrorKind::io, path_ + ": cannot open: Permission denied");
}

}  // namespace
}  // namespace checkbit
