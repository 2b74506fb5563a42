// `checkbit task` in-process on tiny models: figures, flips, the page, JSON, and what is refused.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/cli_test_console.h"
#include "measure/tasks/task.h"

namespace checkbit {
namespace {

using testing::HasSubstr;

const std::string kTiny = std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/";
const std::string kModel = kTiny + "llama-llama3.gguf";
const std::string kOther = kTiny + "llama-yarn.gguf";

class TaskCommand : public testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        std::filesystem::temp_directory_path() / ("checkbit_task_" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
    ::setenv("CHECKBIT_HOME", folder_.c_str(), 1);
    std::ofstream file(data());
    for (int i = 0; i < 12; ++i) {
      file << nlohmann::json{{"question",
                              "What is " + std::string(1, static_cast<char>('a' + i)) + "?"},
                             {"choices",
                              {{"text", {"sand " + std::to_string(i), "rain", "iron"}},
                               {"label", {"A", "B", "C"}}}},
                             {"answerKey", std::string(1, "ABC"[i % 3])}}
           << "\n";
    }
  }
  void TearDown() override {
    ::unsetenv("CHECKBIT_HOME");
    std::filesystem::remove_all(folder_);
  }
  std::string data() const { return (folder_ / "items.jsonl").string(); }
  std::string page() const { return (folder_ / "page.html").string(); }
  std::filesystem::path folder_;
};

TEST_F(TaskCommand, TwoModelsGiveFiguresFlipsAndAPage) {
  const CliResult result = run_in_process(
      {"task", "arc", kModel, "--data", data(), "--against", kOther, "--json", "--report", page()});
  ASSERT_EQ(result.status, kExitDone) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  std::map<std::string, double> records;
  for (const auto& record : json["records"]) records[record["name"]] = record["value"];
  EXPECT_EQ(records.at("items"), 12);
  // Flips and accuracies are two counts of the same thing.
  EXPECT_NEAR(records.at("accuracy") - records.at("accuracy_reference"),
              records.at("flips_positive") - records.at("flips_negative"), 1e-12);
  EXPECT_NEAR(json["chance"].get<double>(), 1.0 / 3, 1e-12);
  ASSERT_EQ(json["results"].size(), 12u);
  std::size_t right = 0;
  for (const auto& item : json["results"]) right += item["accuracy"]["right"].get<bool>() ? 1 : 0;
  EXPECT_NEAR(records.at("accuracy"), static_cast<double>(right) / 12, 1e-12);
  std::ifstream file(page());
  std::stringstream html;
  html << file.rdbuf();
  EXPECT_THAT(html.str(), HasSubstr("llama-llama3 on ARC, against llama-yarn"));
  const CliResult again =
      run_in_process({"task", "arc", kModel, "--data", data(), "--json", "--one-by-one"});
  const auto alone = nlohmann::json::parse(again.out);
  EXPECT_EQ(alone["results"], json["results"]);
}

TEST_F(TaskCommand, TextNamesTheCountAndListsFlips) {
  const CliResult result = run_in_process(
      {"task", "arc", kModel, "--data", data(), "--against", kOther, "--flips", "--limit", "7"});
  ASSERT_EQ(result.status, kExitDone) << result.err;
  EXPECT_THAT(result.out, HasSubstr("of 7 items of ARC right"));
  EXPECT_THAT(result.out, HasSubstr("McNemar's exact test"));
}

TEST_F(TaskCommand, BlendsRunFromOneModelToTheOther) {
  const CliResult result = run_in_process({"task", "arc", kModel, "--data", data(), "--against",
                                           kModel, "--interpolate", "0,0.5,1", "--json"});
  ASSERT_EQ(result.status, kExitDone) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  ASSERT_EQ(json["interpolation"].size(), 3u);
  EXPECT_EQ(json["interpolation"][1]["share_of_reference"], 0.5);
  EXPECT_EQ(json["interpolation"][0]["accuracy"], json["interpolation"][2]["accuracy"]);
}

TEST_F(TaskCommand, RefusesWithAReason) {
  const auto error = [](std::vector<std::string> words, int status) {
    const CliResult result = run_in_process(std::move(words));
    EXPECT_EQ(result.status, status);
    EXPECT_EQ(result.out, "");
    return result.err;
  };
  for (const Task* task : all_tasks()) {
    const std::string name(task->name);
    EXPECT_THAT(error({"task", name, kModel}, kExitError), HasSubstr(std::string(task->file_name)));
  }
  EXPECT_THAT(error({"task", "nothing", kModel}, kExitUsage), HasSubstr("nothing"));
  EXPECT_THAT(error({"task", "arc", kModel, "--flips"}, kExitUsage), HasSubstr("--against"));
  EXPECT_THAT(error({"task", "arc", kModel, "--against", kModel, "--interpolate", "2"}, kExitUsage),
              HasSubstr("--interpolate"));
  std::ofstream(data(), std::ios::app) << "{\"question\": 3}\n";
  EXPECT_THAT(error({"task", "arc", kModel, "--data", data()}, kExitError),
              HasSubstr("items.jsonl:13: \"answerKey\" is missing"));
  EXPECT_THAT(error({"task", "arc", kModel, "--data", data() + "x"}, kExitError),
              HasSubstr("No such file"));
}

}  // namespace
}  // namespace checkbit
