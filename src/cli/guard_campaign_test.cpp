// `checkbit guard campaign` in-process on a tiny model: figures, the page, going on, what is
// refused.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/cli_test_console.h"

namespace checkbit {
namespace {

using testing::HasSubstr;

class GuardCampaign : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              ("checkbit_guard_campaign_" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  CliResult campaign(std::vector<std::string> more) const {
    std::vector<std::string> words = {
        "guard",
        "campaign",
        std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/qwen3-norms.gguf",
        "--store",
        path("c.sqlite"),
        "--tokens",
        "12",
        "--workers",
        "2"};
    words.insert(words.end(), more.begin(), more.end());
    return run_in_process(words);
  }
  std::filesystem::path folder_;
};

TEST_F(GuardCampaign, CurvesArePrintedDrawnAndTheSameAgain) {
  const std::vector<std::string> words = {
      "--fields", "all,scale", "--lowest", "1e-6",     "--highest",       "1e-4",  "--per-decade",
      "1",        "--trials",  "6",        "--report", path("page.html"), "--json"};
  const CliResult result = campaign(words);
  ASSERT_EQ(result.status, kExitDone) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  ASSERT_EQ(json["cells"].size(), 6u);
  EXPECT_EQ(json["cells"][4]["fault"], "seed=1 field=scale rate=1e-05");
  EXPECT_GT(json["cells"][2]["divergence"], json["cells"][0]["divergence"]);
  for (const auto& cell : json["cells"]) EXPECT_EQ(cell["trials"], 6);
  std::stringstream page;
  page << std::ifstream(path("page.html")).rdbuf();
  EXPECT_THAT(page.str(), HasSubstr("Divergence over bit error rate"));
  EXPECT_EQ(nlohmann::json::parse(campaign(words).out)["cells"], json["cells"]);
}

TEST_F(GuardCampaign, SaysWhatIsWrong) {
  EXPECT_THAT(campaign({"--fields", "quants"}).err, HasSubstr("field \"quants\" is not known"));
  EXPECT_THAT(campaign({"--fault", "colour=1"}).err, HasSubstr("\"colour\" is not known"));
  EXPECT_EQ(campaign({"--lowest", "1e-3", "--highest", "1e-4"}).status, kExitUsage);
  EXPECT_EQ(campaign({"--budget", "soon"}).status, kExitUsage);
  EXPECT_THAT(campaign({"--no-repack"}).err, HasSubstr("stays in the file's map"));
  std::ofstream(path("c.sqlite")) << "this is not a database, but long enough to look like a file";
  EXPECT_THAT(campaign({}).err, HasSubstr("not a store of results"));
}

}  // namespace
}  // namespace checkbit
