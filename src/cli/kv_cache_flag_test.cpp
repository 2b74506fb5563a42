// --kv-cache means the same to every command that has it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/cli_test_console.h"
#include "run/session.h"

namespace checkbit {
namespace {

const std::string kModel = std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/gemma3-window.gguf";

nlohmann::json json_of(std::vector<std::string> words) {
  words.emplace_back("--json");
  const CliResult result = run_in_process(words);
  EXPECT_EQ(result.status, kExitDone) << result.err;
  return nlohmann::json::parse(result.out, nullptr, false);
}

nlohmann::json record(const nlohmann::json& json, const std::string& name) {
  for (const auto& item : json["records"]) {
    if (item["name"] == name) return item;
  }
  ADD_FAILURE() << "no record " << name << " in " << json.dump().substr(0, 300);
  return {};
}

double value(const nlohmann::json& json, const std::string& name) {
  return record(json, name)["value"].get<double>();
}

std::string logits_hash(const std::vector<std::string>& flags) {
  std::vector<std::string> words = {"run", kModel, "--raw", "-p", "one two three", "-n", "3"};
  words.insert(words.end(), flags.begin(), flags.end());
  const nlohmann::json json = json_of(words);
  const bool named = flags.size() > 1 && flags[0] == "--kv-cache";
  EXPECT_EQ(json["kv_cache"], named ? flags[1] : "f16");
  return record(json, "logits_hash")["value"];
}

TEST(KvCacheFlag, RunsHaveTheBitsOfTheirType) {
  const std::string f16 = logits_hash({});
  const std::string q8 = logits_hash({"--kv-cache", "q8_0"});
  const std::string f32 = logits_hash({"--kv-cache", "f32"});
  EXPECT_EQ(logits_hash({"--kv-cache", "f16"}), f16);
  EXPECT_EQ(logits_hash({"--kv-cache", "q8_0", "--threads", "3"}), q8);
  EXPECT_NE(q8, f16);
  EXPECT_NE(q8, f32);
  EXPECT_NE(f32, f16);
}

TEST(KvCacheFlag, FloatActivationsAskForF32UnlessTold) {
  const auto type_of = [](std::vector<std::string> flags) {
    flags.insert(flags.begin(),
                 {"run", kModel, "--raw", "-p", "one", "-n", "1", "--activations", "f32"});
    return json_of(flags)["kv_cache"].get<std::string>();
  };
  EXPECT_EQ(type_of({}), "f32");
  EXPECT_EQ(type_of({"--kv-cache", "q8_0"}), "q8_0");
  EXPECT_EQ(type_of({"--kv-cache", "f16"}), "f16");
}

TEST(KvCacheFlag, MemoryIsCountedForTheType) {
  for (const CacheType type : kCacheTypes) {
    const std::string name(to_string(type));
    const auto session = Session::open(kModel, {.context_tokens = 200, .cache_type = type});
    ASSERT_TRUE(session.ok()) << session.error().message;
    EXPECT_EQ(session->cache_type(), type);
    const auto json = json_of({"inspect", kModel, "--context", "200", "--kv-cache", name});
    EXPECT_EQ(json["kv_cache"], name);
    const auto cache = KvCache::bytes_for(session->model().hyperparameters(), 200, type);
    EXPECT_EQ(value(json, "kv_cache_bytes"), static_cast<double>(cache));
    EXPECT_GT(value(json, "run_bytes"), static_cast<double>(session->planned_bytes()));
    const CliResult text =
        run_in_process({"inspect", kModel, "--context", "200", "--kv-cache", name});
    EXPECT_THAT(text.out, ::testing::ContainsRegex("KV cache .* \\(" + name + "\\)"));
  }
}

TEST(KvCacheFlag, MeasureComparesAgainstTheUsualCache) {
  const auto text = std::filesystem::temp_directory_path() /
                    ("checkbit_kv_cache_" + std::to_string(::getpid()) + ".txt");
  {
    std::ofstream out(text);
    for (int i = 0; i < 400; ++i) out << "word" << i * 7919 % 1000 << ' ';
  }
  const auto divergence = [&](const std::string& type) {
    const auto json = json_of({"measure", kModel, "--against", kModel, "--text", text.string(),
                               "--context", "64", "--windows", "4", "--kv-cache", type});
    EXPECT_EQ(json["kv_cache"], type);
    return value(json, "kl_divergence_mean");
  };
  EXPECT_EQ(divergence("f16"), 0);
  const double q8 = divergence("q8_0");
  EXPECT_GT(q8, 0);
  EXPECT_LT(q8, 1e-2);
  std::filesystem::remove(text);
}

TEST(KvCacheFlag, BenchCountsWhatTheContextAddsToAToken) {
  const auto bytes = [](const std::string& type, const std::string& depth) {
    const auto json = json_of({"bench", kModel, "--prompt-tokens", "0", "-n", "1", "--runs", "1",
                               "--depth", depth, "--kv-cache", type});
    EXPECT_EQ(json["kv_cache"], type);
    return json["bytes_per_token"].get<std::int64_t>();
  };
  const auto session = Session::open(kModel);
  ASSERT_TRUE(session.ok());
  const Hyperparameters& h = session->model().hyperparameters();
  const std::int64_t weights = bytes("f16", "0");
  EXPECT_EQ(bytes("q8_0", "0"), weights);
  for (const CacheType type : {CacheType::f16, CacheType::q8_0}) {
    EXPECT_EQ(bytes(std::string(to_string(type)), "50") - weights,
              KvCache::bytes_read(h, 49, type));
  }
}

TEST(KvCacheFlag, UnknownTypesAndUselessUsesAreRefused) {
  const CliResult unknown = run_in_process({"run", kModel, "-p", "x", "--kv-cache", "q4_0"});
  EXPECT_EQ(unknown.status, kExitUsage);
  EXPECT_THAT(unknown.err, ::testing::HasSubstr("q8_0"));
  const CliResult useless = run_in_process(
      {"quantize", kModel, "-o", "none.gguf", "--type", "Q8_0", "--kv-cache", "q8_0"});
  EXPECT_EQ(useless.status, kExitUsage);
  EXPECT_THAT(useless.err, ::testing::HasSubstr("--kv-cache"));
}

}  // namespace
}  // namespace checkbit
