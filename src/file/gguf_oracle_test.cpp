// What we read and write against the gguf Python package (tests/gguf/dump.py), value for value.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bit>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "file/gguf_writer.h"
#include "file/model_file.h"
#include "file/own_formats.h"
#include "file/pull.h"

namespace checkbit {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

/// Floats as their bits; the rest as it is.
Json scalar_json(float value) { return std::bit_cast<std::uint32_t>(value); }
Json scalar_json(double value) { return std::bit_cast<std::uint64_t>(value); }
template <class T>
Json scalar_json(const T& value) {
  return value;
}

Json value_json(const GgufValue& value) {
  Json json = std::visit(
      [](const auto& held) -> Json {
        if constexpr (std::is_same_v<std::decay_t<decltype(held)>, GgufArray>) {
          Json items = Json::array();
          std::visit(
              [&](const auto& elements) {
                using Element = typename std::decay_t<decltype(elements)>::value_type;
                if constexpr (!std::is_same_v<Element, GgufArray>) {
                  for (const auto& element : elements) {
                    items.push_back(held.kind == GgufKind::boolean ? Json(element != Element{})
                                                                   : scalar_json(element));
                  }
                }
              },
              held.values);
          const Json kind = items.empty() ? Json() : Json(static_cast<int>(held.kind));
          return Json::array({kind, items});
        } else {
          return scalar_json(held);
        }
      },
      value.value);
  return Json::array({static_cast<int>(value.kind), json});
}

/// As another program sees the file: own formats are I8 rows with metadata.
Json model_json(const ModelFile& model) {
  Metadata metadata = model.metadata();
  std::vector<GgufTensor> tensors;
  for (const ModelTensor& tensor : model.tensors()) tensors.push_back(tensor.info);
  store_own_formats(tensors, metadata);
  Json json = {{"metadata", Json::object()}, {"tensors", Json::array()}};
  for (const auto& [key, value] : metadata.entries()) json["metadata"][key] = value_json(value);
  for (const GgufTensor& tensor : tensors) {
    auto dimensions = tensor.dimensions;
    if (tensor.format->own) dimensions[0] = tensor.row_bytes();
    json["tensors"].push_back(
        Json::array({tensor.name, tensor.format->own ? "I8" : std::string(tensor.format->name),
                     dimensions, tensor.offset, tensor.size_bytes}));
  }
  return json;
}

/// Standard output of a command, or nothing when it fails; `status` is its exit status.
std::string output_of(const std::string& command, int& status) {
  std::FILE* const out = ::popen(command.c_str(), "r");
  std::string text;
  std::vector<char> buffer(1 << 16);
  while (const std::size_t count = std::fread(buffer.data(), 1, buffer.size(), out)) {
    text.append(buffer.data(), count);
  }
  status = WEXITSTATUS(::pclose(out));
  return text;
}

class GgufOracleTest : public testing::Test {
 protected:
  void SetUp() override {
    int status = 0;
    output_of("python3 -c 'import gguf' 2>&1", status);
    if (status != 0) GTEST_SKIP() << "the Python package gguf is not installed";
    std::string pattern = fs::temp_directory_path() / "gguf_oracle_test_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }

  void expect_same(const std::string& path) {
    const auto model = ModelFile::open(path);
    ASSERT_TRUE(model.ok()) << model.error().message;
    int status = 0;
    const std::string text =
        output_of("python3 " CHECKBIT_SOURCE_DIR "/tests/gguf/dump.py " + path, status);
    ASSERT_EQ(status, 0) << "the gguf package refuses " << path;
    const Json theirs = Json::parse(text, nullptr, false);
    const Json ours = model_json(*model);
    EXPECT_EQ(ours["tensors"], theirs["tensors"]) << path;
    EXPECT_EQ(ours["metadata"].size(), theirs["metadata"].size()) << path;
    for (const auto& [key, value] : theirs["metadata"].items()) {
      if (key.ends_with(".nested")) continue;  // the package flattens nested arrays
      EXPECT_EQ(ours["metadata"].value(key, Json()), value) << path << ": " << key;
    }
  }

  std::string folder_;
};

TEST_F(GgufOracleTest, FilesOfThePackageAreReadTheSame) {
  int status = 0;
  output_of("python3 " CHECKBIT_SOURCE_DIR "/tests/fuzz/make_gguf_seeds.py " + folder_, status);
  ASSERT_EQ(status, 0);
  int count = 0;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    expect_same(entry.path().string());
    ++count;
  }
  EXPECT_EQ(count, 14);  // four of its own, two of each tiny model
}

/// One real model; tests/oracles/check_gguf.py compares them all.
TEST_F(GgufOracleTest, APulledModelIsReadTheSame) {
  const auto path = resolve_model("smollm2-135m");
  if (!path.ok()) GTEST_SKIP() << path.error().message;
  expect_same(*path);
}

TEST_F(GgufOracleTest, ThePackageReadsEveryFormatWeWrite) {
  GgufHeader header;
  header.alignment = 64;
  header.metadata.set("general.architecture", GgufValue::of(std::string("llama")));
  header.metadata.set("a.long", GgufValue::of(~std::uint64_t{0}));
  header.metadata.set("a.float", GgufValue::of(-0.0f));
  header.metadata.set("a.naturals", GgufValue::of(std::vector<std::uint32_t>{1, 2, 3}));
  header.metadata.set("a.strings", GgufValue::of(std::vector<std::string>{"", "\u00e9"}));
  for (const Format* format : all_formats()) {
    GgufTensor tensor{fmt::format("{}.weight", format->name)};
    tensor.dimensions = {2 * static_cast<std::uint64_t>(format->block_elements), 3};
    tensor.format = format;
    header.tensors.push_back(std::move(tensor));
  }
  const std::string path = folder_ + "/all.gguf";
  auto writer = GgufWriter::create(path, header);
  ASSERT_TRUE(writer.ok()) << writer.error().message;
  for (std::size_t t = 0; t < header.tensors.size(); ++t) {
    const std::vector<std::uint8_t> bytes(writer->header().tensors[t].size_bytes);
    ASSERT_TRUE(writer->append(t, bytes).ok());
  }
  const auto status = writer->finish();
  ASSERT_TRUE(status.ok()) << status.error().message;
  expect_same(path);
}

}  // namespace
}  // namespace checkbit
