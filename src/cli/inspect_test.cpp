#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/resident_memory.h"
#include "cli/cli_test_console.h"
#include "file/model_file.h"
#include "report/text.h"
#include "run/session.h"

namespace checkbit {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::string kTiny = std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/llama-yarn.gguf";

nlohmann::json inspect_json(std::vector<std::string> flags) {
  std::vector<std::string> words = {"inspect", kTiny, "--json"};
  words.insert(words.end(), flags.begin(), flags.end());
  const CliResult result = run_in_process(words);
  EXPECT_EQ(result.status, kExitDone) << result.err;
  return nlohmann::json::parse(result.out);
}

double record(const nlohmann::json& json, const std::string& name) {
  for (const auto& item : json["records"]) {
    if (item["name"] == name) return item["value"].get<double>();
  }
  ADD_FAILURE() << "no record " << name;
  return 0;
}

TEST(CliInspect, JsonCountsWhatTheFileHolds) {
  const nlohmann::json json = inspect_json({});
  EXPECT_EQ(json["path"], kTiny);
  EXPECT_EQ(record(json, "file_bytes"), static_cast<double>(std::filesystem::file_size(kTiny)));
  double elements = 0;
  double bytes = 0;
  for (const auto& tensor : json["tensors"]) {
    double count = 1;
    for (const auto& dimension : tensor["shape"]) count *= dimension.get<double>();
    elements += count;
    bytes += tensor["bytes"].get<double>();
  }
  EXPECT_GT(elements, 0);
  EXPECT_EQ(record(json, "parameters"), elements);
  EXPECT_DOUBLE_EQ(record(json, "bits_per_weight"), 8 * bytes / elements);
  EXPECT_EQ(json["metadata"]["general.architecture"], "llama");
  for (const auto& item : json["records"]) {
    EXPECT_THAT(item["command"].get<std::string>(), HasSubstr("checkbit inspect"));
  }
}

TEST(CliInspect, LongArraysAreShortUnlessFull) {
  const nlohmann::json tokens = inspect_json({})["metadata"]["tokenizer.ggml.tokens"];
  ASSERT_TRUE(tokens.is_object());
  EXPECT_EQ(tokens["length"], 300);
  EXPECT_EQ(tokens["first"].size(), 16u);
  EXPECT_EQ(inspect_json({"--full"})["metadata"]["tokenizer.ggml.tokens"].size(), 300u);
}

TEST(CliInspect, MemoryGrowsWithContext) {
  const double at_64 = record(inspect_json({"--context", "64"}), "kv_cache_bytes");
  const double at_128 = record(inspect_json({"--context", "128"}), "kv_cache_bytes");
  EXPECT_GT(at_64, 0);
  EXPECT_EQ(at_128, 2 * at_64);
}

/// What a session that is really opened takes, and what stands beside it.
TEST(CliInspect, MemoryIsWhatARunTakes) {
  const nlohmann::json json = inspect_json({"--context", "128"});
  SessionOptions options;
  options.context_tokens = 128;
  options.max_logits = 1;
  const auto session = Session::open(kTiny, options);
  ASSERT_TRUE(session.ok()) << session.error().message;
  const double weights = record(json, "weights_bytes");
  const double cache = record(json, "kv_cache_bytes");
  EXPECT_EQ(cache,
            static_cast<double>(KvCache::bytes_for(session->model().hyperparameters(),
                                                   session->context_tokens(), CacheType::f16)));
  EXPECT_GE(weights, static_cast<double>(session->model().packed_bytes()));
  const double whole = record(json, "run_bytes");
  EXPECT_GT(whole, static_cast<double>(session->planned_bytes()));
  EXPECT_LT(whole, static_cast<double>(session->planned_bytes()) +
                       static_cast<double>(resident_bytes()) + 16e6);
}

TEST(CliInspect, WhatDoesNotOpenSaysWhyAndHasNoMemory) {
  const std::string path = (std::filesystem::temp_directory_path() /
                            ("checkbit_inspect_" + std::to_string(::getpid()) + ".gguf"))
                               .string();
  std::string bytes(std::filesystem::file_size(kTiny), '\0');
  std::ifstream(kTiny, std::ios::binary)
      .read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  const std::string name = "blk.0.attn_q.weight";
  bytes[bytes.find(name)] = 'B';
  std::ofstream(path, std::ios::binary) << bytes;
  const CliResult result = run_in_process({"inspect", path, "--json"});
  std::filesystem::remove(path);
  EXPECT_EQ(result.status, kExitDone) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_THAT(json["warnings"].dump(), HasSubstr("it does not run here: tensor Blk.0.attn_q"));
  for (const auto& item : json["records"]) EXPECT_NE(item["name"], "run_bytes");
}

TEST(CliInspect, TextFitsEightyColumnsAndIsPlainInAPipe) {
  for (const bool terminal : {false, true}) {
    const CliResult result =
        run_in_process({"inspect", kTiny, "--metadata", "--no-color"}, "", terminal);
    EXPECT_EQ(result.status, kExitDone) << result.err;
    EXPECT_THAT(result.out, Not(HasSubstr("\x1b")));
    EXPECT_THAT(result.out, HasSubstr("Q4_0"));
    std::istringstream lines(result.out);
    for (std::string line; std::getline(lines, line);) {
      if (line.find("file") != std::string::npos) continue;  // a path has no place to break
      EXPECT_LE(display_width(line), 80u) << line;
    }
  }
}

TEST(CliInspect, DumpedTensorIsTheDecodedOne) {
  const std::string path = (std::filesystem::temp_directory_path() /
                            ("checkbit_dump_" + std::to_string(::getpid()) + ".f32"))
                               .string();
  const std::string name = "blk.0.attn_q.weight";
  const CliResult result = run_in_process({"inspect", kTiny, "--dump-tensor", name, "-o", path});
  ASSERT_EQ(result.status, kExitDone) << result.err;
  const auto file = ModelFile::open(kTiny);
  ASSERT_TRUE(file.ok());
  const ModelTensor* tensor = file->find(name);
  ASSERT_NE(tensor, nullptr);
  std::vector<float> expected(tensor->info.elements());
  tensor->info.format->decode(
      tensor->bytes.data(),
      expected.size() / static_cast<std::size_t>(tensor->info.format->block_elements),
      expected.data());
  std::vector<float> dumped(expected.size());
  ASSERT_EQ(std::filesystem::file_size(path), dumped.size() * sizeof(float));
  std::ifstream(path, std::ios::binary)
      .read(reinterpret_cast<char*>(dumped.data()),
            static_cast<std::streamsize>(dumped.size() * sizeof(float)));
  EXPECT_EQ(dumped, expected);
  std::filesystem::remove(path);
}

TEST(CliInspect, UnknownTensorIsOneLineAndLeavesNoFile) {
  const CliResult result =
      run_in_process({"inspect", kTiny, "--dump-tensor", "no.such", "-o", "/nonexistent/x"});
  EXPECT_EQ(result.status, kExitError);
  EXPECT_THAT(result.err, HasSubstr("no.such"));
}

TEST(CliTokenize, IdsAreAJsonArrayAndPiecesAreALineEach) {
  const CliResult ids = run_in_process({"tokenize", kTiny, "ab", "--ids"});
  ASSERT_EQ(ids.status, kExitDone) << ids.err;
  const auto parsed = nlohmann::json::parse(ids.out);
  ASSERT_TRUE(parsed.is_array());
  const CliResult pieces = run_in_process({"tokenize", kTiny, "--file", "-"}, "ab");
  EXPECT_EQ(static_cast<std::size_t>(std::count(pieces.out.begin(), pieces.out.end(), '\n')),
            parsed.size());
}

}  // namespace
}  // namespace checkbit
