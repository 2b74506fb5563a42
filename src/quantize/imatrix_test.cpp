#include "quantize/imatrix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <limits>

#include "quantize/plan.h"

namespace checkbit {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// The old binary form, written by hand.
class OldForm {
 public:
  OldForm& number(std::int32_t value) { return raw(&value, sizeof(value)); }
  OldForm& text(const std::string& value) {
    return number(static_cast<std::int32_t>(value.size())).raw(value.data(), value.size());
  }
  OldForm& floats(const std::vector<float>& values) {
    return number(static_cast<std::int32_t>(values.size()))
        .raw(values.data(), values.size() * sizeof(float));
  }
  OldForm& matrix(const std::string& name, std::int32_t calls, const std::vector<float>& values) {
    return text(name).number(calls).floats(values);
  }
  std::vector<std::uint8_t> bytes;

 private:
  OldForm& raw(const void* data, std::size_t size) {
    const auto* from = static_cast<const std::uint8_t*>(data);
    bytes.insert(bytes.end(), from, from + size);
    return *this;
  }
};

OldForm sound() {
  OldForm form;
  form.number(2).matrix("a.weight", 4, {4, 8}).matrix("b.weight", 0, {1, 2, 3});
  form.number(7).text("some text");
  return form;
}

std::string error_of(const std::vector<std::uint8_t>& bytes) {
  const auto parsed = parse_imatrix(bytes, "old.dat");
  if (parsed.ok()) return "";
  EXPECT_EQ(parsed.error().kind, ErrorKind::corrupt);
  return parsed.error().message;
}

TEST(Imatrix, ReadsTheOldForm) {
  const auto imatrix = parse_imatrix(sound().bytes, "old.dat");
  ASSERT_TRUE(imatrix.ok());
  EXPECT_THAT(imatrix->columns.at("a.weight"), ElementsAre(1, 2));
  EXPECT_THAT(imatrix->columns.at("b.weight"), ElementsAre(1, 2, 3));
  EXPECT_EQ(imatrix->text_name, "some text");
}

TEST(Imatrix, TheOldFormMayEndAfterItsMatrices) {
  OldForm form;
  form.number(1).matrix("a.weight", 1, {5});
  const auto imatrix = parse_imatrix(form.bytes, "old.dat");
  ASSERT_TRUE(imatrix.ok());
  EXPECT_EQ(imatrix->text_name, "");
}

TEST(Imatrix, EveryCutOfTheOldFormIsRefusedByName) {
  const auto whole = sound().bytes;
  const std::size_t matrices = whole.size() - 4 - 4 - 9;
  for (std::size_t size = 0; size < matrices; ++size) {
    const std::vector<std::uint8_t> cut(whole.begin(),
                                        whole.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_THAT(error_of(cut), HasSubstr("old.dat: is not an importance matrix")) << size;
  }
}

TEST(Imatrix, HostileNumbersAreRefused) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(error_of(OldForm().number(-1).bytes), HasSubstr("no count"));
  EXPECT_THAT(error_of(OldForm().number(1).number(0x7fffffff).bytes), HasSubstr("the name"));
  EXPECT_THAT(error_of(OldForm().number(1).text("a").number(1).number(0x7fffffff).bytes),
              HasSubstr("the values of matrix 0 at byte 17"));
  EXPECT_THAT(error_of(OldForm().number(1).matrix("a", 1, {1, kNan}).bytes),
              HasSubstr("column 1 of"));
  EXPECT_THAT(error_of(OldForm().number(1).matrix("a", 1, {-1}).bytes), HasSubstr("column 0 of"));
  EXPECT_THAT(error_of(OldForm().number(2).matrix("a", 1, {1}).matrix("a", 1, {1}).bytes),
              HasSubstr("twice"));
}

/// The tiny model of the tests and an importance for each of its matrices.
class OfModel : public ::testing::Test {
 protected:
  OfModel() {
    const auto plan = plan_copy(*file_);
    for (const TensorPlan& tensor : plan->tensors) {
      if (!is_quantizable(tensor)) continue;
      std::vector<double> energy(tensor.source->info.columns(), 1.0);
      energy[0] = 3;
      calibration_.uses[tensor.source->info.name] = {{.column_energy = energy}};
    }
    calibration_.tokens = 64;
  }
  ~OfModel() override { std::filesystem::remove(path_); }

  std::string refusal(const ImportanceMatrix& imatrix) const {
    const Status status = check_imatrix(imatrix, *file_, "x.gguf");
    if (status.ok()) return "";
    EXPECT_EQ(status.error().kind, ErrorKind::invalid);
    return status.error().message;
  }

  Result<ModelFile> file_ =
      ModelFile::open(std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/llama-yarn.gguf");
  Calibration calibration_;
  std::string path_ =
      (std::filesystem::temp_directory_path() / fmt::format("imatrix-{}.gguf", ::getpid()))
          .string();
};

TEST_F(OfModel, WhatIsWrittenIsRead) {
  ASSERT_TRUE(write_imatrix(calibration_, "a text", path_).ok());
  const auto read = read_imatrix(path_);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->text_name, "a text");
  EXPECT_EQ(read->columns.size(), calibration_.uses.size());
  EXPECT_EQ(read->columns.at("blk.0.ffn_up.weight")[0], 3);
  EXPECT_EQ(read->columns.at("blk.0.ffn_up.weight")[1], 1);
  EXPECT_EQ(refusal(*read), "");
}

TEST_F(OfModel, AnotherModelsIsRefusedByWhatDiffers) {
  ASSERT_TRUE(write_imatrix(calibration_, "", path_).ok());
  const auto read = read_imatrix(path_);
  ASSERT_TRUE(read.ok());
  ImportanceMatrix lacks = *read;
  lacks.columns.erase("blk.0.attn_k.weight");
  EXPECT_THAT(refusal(lacks), HasSubstr("attn_k"));
  ImportanceMatrix longer = *read;
  longer.columns.at("blk.0.attn_k.weight").push_back(1);
  EXPECT_THAT(refusal(longer), HasSubstr("columns"));
  ImportanceMatrix more = *read;
  more.columns["blk.99.attn_k.weight"] = {1};
  EXPECT_THAT(refusal(more), HasSubstr("blk.99.attn_k.weight"));
  ImportanceMatrix no_output = *read;  // llama-imatrix leaves these out
  no_output.columns.erase("output.weight");
  no_output.columns.erase("token_embd.weight");
  EXPECT_EQ(refusal(no_output), "");
}

TEST_F(OfModel, ReplacesEnergiesInTheirOldSum) {
  Calibration calibration;
  calibration.uses["m"] = {{.column_energy = {1, 3}, .sensitivity = 5}};
  apply_imatrix({.columns = {{"m", {20, 20}}, {"n", {7}}}, .text_name = ""}, calibration);
  EXPECT_THAT(calibration.uses["m"][0].column_energy, ElementsAre(2, 2));
  EXPECT_EQ(calibration.uses["m"][0].sensitivity, 5);
  EXPECT_THAT(calibration.uses["n"][0].column_energy, ElementsAre(7));
}

TEST(Imatrix, AModelIsNotOne) {
  const auto model =
      read_imatrix(std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/llama-yarn.gguf");
  ASSERT_FALSE(model.ok());
  EXPECT_THAT(model.error().message, HasSubstr("without importance"));
}

}  // namespace
}  // namespace checkbit
