// seal, verify and repair as they are typed, on a tiny model and, where it is pulled, a real one.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/test_models.h"
#include "cli/cli_test_console.h"

namespace checkbit {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class GuardCommands : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / fmt::format("checkbit-guard-{}", ::getpid());
    std::filesystem::create_directories(folder_);
    model_ = (folder_ / "model.gguf").string();
    std::filesystem::copy_file(
        std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/llama-yarn.gguf", model_);
    right_ = read();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string read() const {
    std::ifstream file(model_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void change(std::size_t at, char mask) const {
    std::string bytes = read();
    bytes[at] = static_cast<char>(bytes[at] ^ mask);
    std::ofstream(model_, std::ios::binary) << bytes;
  }
  CliResult guard(std::vector<std::string> words) const {
    words.insert(words.begin(), "guard");
    return run_in_process(words);
  }
  std::filesystem::path folder_;
  std::string model_;
  std::string right_;
};

TEST_F(GuardCommands, SealVerifyAndRepairFollowOneAnother) {
  EXPECT_THAT(guard({"verify", model_}).err, HasSubstr("checkbit guard seal"));
  const CliResult sealed = guard({"seal", model_, "--bandwidth"});
  EXPECT_EQ(sealed.status, 0) << sealed.err;
  EXPECT_THAT(sealed.out, HasSubstr("of reading the file alone"));
  EXPECT_THAT(guard({"verify", model_}).out, HasSubstr("every block is as it was sealed"));
  change(right_.size() - 100, 0x20);
  const CliResult bad = guard({"verify", model_});
  EXPECT_EQ(bad.status, 1);
  EXPECT_THAT(bad.out, HasSubstr("1 by one bit, 0 by more; all can be mended"));
  EXPECT_THAT(bad.out, HasSubstr("row"));
  EXPECT_THAT(bad.err, HasSubstr("checkbit guard repair " + model_));
  const auto json = nlohmann::json::parse(guard({"verify", model_, "--json"}).out);
  EXPECT_EQ(json["damage"][model_][0]["flips"][0]["byte"], right_.size() - 100);
  EXPECT_EQ(json["damage"][model_][0]["mend"], "bit");
  const CliResult repaired = guard({"repair", model_});
  EXPECT_EQ(repaired.status, 0) << repaired.err;
  EXPECT_THAT(repaired.out, HasSubstr("mended 1 of 1 blocks"));
  EXPECT_EQ(read(), right_);
}

TEST_F(GuardCommands, UnderGuardADamagedModelIsNotLoaded) {
  const auto run = [&](const std::string& level) {
    return run_in_process({"run", model_, "--raw", "-p", "a", "-n", "1", "--guard=" + level});
  };
  EXPECT_THAT(run("verify").err, HasSubstr("has no seal"));
  ASSERT_EQ(guard({"seal", model_}).status, 0);
  EXPECT_THAT(run("verify").err, HasSubstr("every block is as it was sealed"));
  change(right_.size() - 77, 1);
  const CliResult refused = run("verify");
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("mend it with `checkbit guard repair " + model_));
  EXPECT_EQ(run("off").status, 0);
  ASSERT_EQ(guard({"repair", model_}).status, 0);
  EXPECT_EQ(run("verify").status, 0);
}

TEST_F(GuardCommands, KeysAndForms) {
  const std::string key = (folder_ / "key").string();
  std::ofstream(key) << "short";
  EXPECT_THAT(guard({"seal", model_, "--key", key}).err, HasSubstr("a key has 16 to"));
  std::ofstream(key) << std::string(32, 'k');
  ASSERT_EQ(guard({"seal", model_, "--key", key, "--parity", "64+4", "--in-file"}).status, 0);
  EXPECT_THAT(guard({"verify", model_, "--key", key}).out, HasSubstr("the keyed hash agrees"));
  EXPECT_EQ(run_in_process({"run", model_, "--raw", "-p", "a", "-n", "1", "-q"}).status, 0)
      << "a model with a seal inside is a model";
  EXPECT_THAT(guard({"seal", model_}).err, HasSubstr("has a seal inside already"));
  std::ofstream(key) << std::string(32, 'j');
  const CliResult other = guard({"verify", model_, "--key", key});
  EXPECT_EQ(other.status, 1);
  EXPECT_THAT(other.err, HasSubstr("the keyed hash differs"));
}

TEST_F(GuardCommands, SubCommandsAreFoundAndExplained) {
  EXPECT_THAT(guard({}).out, HasSubstr("verify"));
  EXPECT_THAT(guard({"verify", "--help"}).out, HasSubstr("checkbit guard verify MODEL"));
  EXPECT_THAT(run_in_process({"help", "guard", "repair"}).out, HasSubstr("MODEL.repair"));
  const CliResult wrong = guard({"verfy", model_});
  EXPECT_EQ(wrong.status, 2);
  EXPECT_THAT(wrong.err, HasSubstr("did you mean guard verify?"));
  EXPECT_EQ(guard({"verify"}).status, 2);
  EXPECT_EQ(run_in_process({"--threads", "2", "guard", "-q", "seal", model_}).status, 0);
}

// Oracle: the file's own bytes before.
TEST_F(GuardCommands, ARealModelLosesItsEndAndGetsItBack) {
  const std::string real = pulled_model("smollm2-135m");
  if (!std::filesystem::exists(real)) GTEST_SKIP() << real << " is not here";
  std::filesystem::copy_file(real, model_, std::filesystem::copy_options::overwrite_existing);
  const CliResult sealed = guard({"seal", model_, "--json"});
  ASSERT_EQ(sealed.status, 0) << sealed.err;
  const auto records = nlohmann::json::parse(sealed.out)["records"];
  for (const auto& record : records) {
    if (record["name"] == "seal_share") {
      EXPECT_LE(record["value"].get<double>(), 0.034);
    }
  }
  const auto size = std::filesystem::file_size(model_);
  std::filesystem::resize_file(model_, size - size * 3 / 100);
  EXPECT_THAT(guard({"verify", model_}).out, HasSubstr("all can be mended"));
  EXPECT_EQ(guard({"repair", model_}).status, 0);
  EXPECT_EQ(std::system(fmt::format("cmp -s '{}' '{}'", real, model_).c_str()), 0);
}

}  // namespace
}  // namespace checkbit
