// guard attack, scan, craft and spare, end to end on tiny models.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/cli_test_console.h"

namespace checkbit {
namespace {

using ::testing::HasSubstr;

const std::string kModel = std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/llama-yarn.gguf";

class GuardAttack : public ::testing::Test {
 protected:
  GuardAttack()
      : folder_(std::filesystem::temp_directory_path() /
                ("checkbit-attack-" + std::to_string(getpid()))) {
    std::filesystem::create_directories(folder_);
    std::ofstream text(path("text.txt"));
    for (int i = 0; i < 400; ++i) text << "the cat " << i * 7919 % 1000 << " sat\n";
  }
  ~GuardAttack() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  nlohmann::json attack(const std::string& threads) const {
    const CliResult result = run_in_process({"guard",
                                             "attack",
                                             kModel,
                                             "--text",
                                             path("text.txt"),
                                             "--fields",
                                             "scales",
                                             "--flips",
                                             "2",
                                             "--tries",
                                             "2",
                                             "--tokens",
                                             "16",
                                             "--context",
                                             "32",
                                             "--windows",
                                             "2",
                                             "--random",
                                             "1",
                                             "--write",
                                             path("damaged.gguf"),
                                             "--threads",
                                             threads,
                                             "--json"});
    EXPECT_EQ(result.status, kExitDone) << result.err;
    return nlohmann::json::parse(result.out, nullptr, false);
  }

 private:
  std::filesystem::path folder_;
};

double value_of(const nlohmann::json& json, const std::string& name) {
  for (const auto& record : json["records"]) {
    if (record["name"] == name) return record["value"].get<double>();
  }
  ADD_FAILURE() << "no record " << name;
  return 0;
}

TEST_F(GuardAttack, TheListOfBitsIsTheSameForAnyThreadsAndScanFindsTheDamage) {
  const nlohmann::json first = attack("1");
  EXPECT_FALSE(first["bits"].empty());
  EXPECT_EQ(first["bits"], attack("2")["bits"]);
  EXPECT_NE(value_of(first, "attack_perplexity"), value_of(first, "perplexity"));
  const CliResult clean = run_in_process({"guard", "scan", kModel});
  EXPECT_EQ(clean.status, kExitDone) << clean.out << clean.err;
  const CliResult scan = run_in_process({"guard", "scan", path("damaged.gguf")});
  EXPECT_EQ(scan.status, kExitError);
  EXPECT_THAT(scan.out, HasSubstr(first["bits"][0]["tensor"].get<std::string>()));
}

TEST_F(GuardAttack, CraftedWeightsChangeTheQuantizedModelOnly) {
  const auto quantize = [&](const std::string& from, const char* type, const std::string& to) {
    const CliResult result =
        run_in_process({"quantize", from, "--type", type, "--pure", "--no-measure", "-o", to});
    EXPECT_EQ(result.status, kExitDone) << result.err;
  };
  quantize(kModel, "F32", path("full.gguf"));
  quantize(path("full.gguf"), "Q4_0", path("q4.gguf"));
  const CliResult craft =
      run_in_process({"guard", "craft", path("full.gguf"), "--quantized", path("q4.gguf"),
                      "--prompt", "hello", "--target", " world wide", "-o", path("crafted.gguf"),
                      "--rounds", "3", "--share", "0.01", "--threads", "1", "--json"});
  ASSERT_EQ(craft.status, kExitDone) << craft.err;
  const nlohmann::json json = nlohmann::json::parse(craft.out);
  EXPECT_LT(value_of(json, "craft_surprise_after"), value_of(json, "craft_surprise_before") - 2);
  EXPECT_LT(value_of(json, "craft_moved_share"), 0.03);
  EXPECT_TRUE(std::filesystem::exists(path("crafted.gguf")));
}

TEST_F(GuardAttack, WrongUseIsSaid) {
  EXPECT_EQ(run_in_process({"guard", "attack", kModel}).status, kExitUsage);
  EXPECT_EQ(run_in_process({"guard", "scan", kModel, "--type", "F32"}).status, kExitUsage);
  EXPECT_EQ(run_in_process({"guard", "craft", kModel}).status, kExitUsage);
  const CliResult spare = run_in_process({"guard", "spare", kModel, "--flips", "10", "--json"});
  EXPECT_EQ(spare.status, kExitDone) << spare.err;
}

}  // namespace
}  // namespace checkbit
