#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/cli_test_console.h"
#include "cli/sweep_candidates.h"

namespace checkbit {
namespace {

using ::testing::HasSubstr;

const std::string kModel = std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/llama-yarn.gguf";

class SweepCommand : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              ("checkbit_sweepcli_" + std::to_string(::getpid()) + "_" +
               ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_);
    std::ofstream text(path("text.txt"));
    for (int i = 0; i < 400; ++i) text << "a word " << i << " and another " << i * i << "\n";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  CliResult sweep(std::vector<std::string> words) const {
    words.insert(words.begin(), {"sweep", kModel, "--texts", path("text.txt"), "--store",
                                 path("store.sqlite"), "--context", "32", "--windows", "8"});
    return run_in_process(words);
  }
  std::filesystem::path folder_;
};

TEST(SweepMethods, AreWhatTheFormatsAreMadeOf) {
  for (const auto& [recipe, method] : {std::pair{"Q4_0", "one scale"},
                                       {"Q8_0", "one scale"},
                                       {"Q4_1", "scale and offset"},
                                       {"CB3", "scale and offset"},
                                       {"Q6_K", "scales of scales"},
                                       {"IQ4_NL", "uneven steps"},
                                       {"MXFP4", "uneven steps"},
                                       {"TQ1_0", "ternary"},
                                       {"F16", "float"},
                                       {"Q4_K_M", "mixed by rule"},
                                       {"Q2_K", "mixed by rule"},
                                       {"nothing", ""}})
    EXPECT_EQ(method_of_recipe(recipe), method) << recipe;
  for (const RecipeInfo& recipe : all_recipes())
    EXPECT_FALSE(method_of_recipe(recipe.name).empty()) << recipe.name;
}

TEST_F(SweepCommand, MeasuresResumesAndReports) {
  const CliResult first =
      sweep({"--types", "source,Q8_0,Q4_0,e2m1,e3m2", "--block", "16,32", "--json"});
  ASSERT_EQ(first.status, 0) << first.err;
  const auto page = nlohmann::json::parse(first.out);
  EXPECT_EQ(page["measured_now"], 7);
  const auto& candidates = page["models"][0]["candidates"];
  ASSERT_EQ(candidates.size(), 7U);
  double source_damage = -1;
  for (const auto& candidate : candidates) {
    EXPECT_EQ(candidate["records"].size(), candidate["emulated"] == true ? 7U : 8U)
        << "speed is not of emulated floats";
    if (candidate["candidate"] == "source") source_damage = candidate["records"][2]["value"];
  }
  EXPECT_EQ(source_damage, 0);
  EXPECT_EQ(page["laws"].size(), 5U);

  const CliResult again =
      sweep({"--types", "Q8_0,Q4_0", "--under", "1GB", "--report", path("page.html")});
  ASSERT_EQ(again.status, 0) << again.err;
  EXPECT_THAT(again.out, HasSubstr("0 measured now"));
  EXPECT_THAT(again.out, HasSubstr("best of llama-yarn under 1"));
  std::ifstream report(path("page.html"));
  const std::string html((std::istreambuf_iterator<char>(report)), {});
  EXPECT_THAT(html, HasSubstr("e3m2:b16"));
  EXPECT_THAT(html, HasSubstr("Size against damage"));

  const CliResult shown = run_in_process({"sweep", "--store", path("store.sqlite"), "--markdown"});
  EXPECT_EQ(shown.status, 0);
  EXPECT_THAT(shown.out, HasSubstr("| Q4_0 | one scale |"));
  // Only the store, the text and the page are left.
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_),
                          std::filesystem::directory_iterator()),
            3);
}

TEST_F(SweepCommand, SaysWhatIsWrong) {
  const auto expect_error = [](const CliResult& result, const std::string& part) {
    EXPECT_NE(result.status, 0);
    EXPECT_THAT(result.err, HasSubstr(part));
  };
  expect_error(sweep({"--types", "Q9_9"}), "no type or mix is called Q9_9");
  expect_error(sweep({"--types", "bpw:x"}), "bpw:3.5");
  expect_error(sweep({"--types", "e9m1"}), "e9m1");
  expect_error(sweep({"--types", "e2m1", "--block", "0"}), "--block 0");
  expect_error(sweep({"--budget", "soon"}), "30m");
  expect_error(run_in_process({"sweep", kModel, "--store", path("s.sqlite")}),
               "--texts FILE is missing");
  expect_error(run_in_process({"sweep", "--store", path("text.txt")}), "not a store of results");
}

}  // namespace
}  // namespace checkbit
