// `checkbit predict` in-process on tiny models: figures, the page, JSON, and what is refused.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/cli_test_console.h"

namespace checkbit {
namespace {

using testing::HasSubstr;

const std::string kTiny = std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/llama-llama3.gguf";

class PredictCommand : public testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        std::filesystem::temp_directory_path() / ("checkbit_predict_" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
    std::ofstream file(path("text.txt"));
    for (int i = 0; i < 400; ++i)
      file << "word " << i * 7919 % 101 << (i % 3 == 0 ? ", again" : " and " + std::to_string(i))
           << "\n";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  CliResult predict(const std::vector<std::string>& more) const {
    std::vector<std::string> words = {"predict", path("low.gguf"), "--against", kTiny,
                                      "--text",  path("text.txt"), "-c",        "16"};
    words.insert(words.end(), more.begin(), more.end());
    return run_in_process(words);
  }
  std::filesystem::path folder_;
};

TEST_F(PredictCommand, GivesFiguresTheSameForOneSeedAndAPage) {
  const CliResult made = run_in_process({"quantize", kTiny, "-o", path("low.gguf"), "--type",
                                         "Q5_1", "--pure", "--no-measure", "-q"});
  ASSERT_EQ(made.status, kExitDone) << made.err;
  const CliResult result =
      predict({"--windows", "60", "--json", "--report", path("page.html"), "--seed", "3"});
  ASSERT_EQ(result.status, kExitDone) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  std::map<std::string, nlohmann::json> records;
  for (const auto& record : json["records"]) records[record["name"]] = record;
  EXPECT_EQ(json["seed"], 3);
  for (const char* name : {"auc", "auc_changed_entropy", "auc_changed_combined",
                           "calibration_error_changed_combined", "subgroups_proven"}) {
    ASSERT_TRUE(records.contains(name)) << name;
    EXPECT_GE(records[name]["value"].get<double>(), 0) << name;
  }
  EXPECT_LE(records["auc"]["value"].get<double>(), 1);
  EXPECT_NEAR(records["auc_changed_combined"]["value"].get<double>() -
                  records["auc_changed_entropy"]["value"].get<double>(),
              records["auc_gain_changed_combined"]["value"].get<double>(), 1e-9);
  std::ifstream file(path("page.html"));
  std::stringstream page;
  page << file.rdbuf();
  EXPECT_THAT(page.str(), HasSubstr("Which inputs break low"));
  EXPECT_THAT(page.str(), HasSubstr("<code>checkbit predict"));
  const CliResult again = predict({"--windows", "60", "--seed", "3"});
  EXPECT_THAT(again.out, HasSubstr("held-out tokens"));
  EXPECT_EQ(predict({"--windows", "60", "--seed", "3", "--threads", "1"}).out, again.out);

  const CliResult few = predict({"--windows", "4"});
  EXPECT_EQ(few.status, kExitError);
  EXPECT_THAT(few.err, HasSubstr("15"));
}

TEST_F(PredictCommand, RefusesWhatItCannotCompare) {
  const CliResult alone = run_in_process({"predict", kTiny, "--text", path("text.txt")});
  EXPECT_EQ(alone.status, kExitUsage);
  EXPECT_THAT(alone.err, HasSubstr("--against"));
  const CliResult no_text = run_in_process({"predict", kTiny, "--against", kTiny});
  EXPECT_EQ(no_text.status, kExitUsage);
  EXPECT_THAT(no_text.err, HasSubstr("--text"));
  // Equal models: nothing fails, so nothing can be foretold.
  const CliResult equal = run_in_process({"predict", kTiny, "--against", kTiny, "--text",
                                          path("text.txt"), "-c", "16", "--windows", "40"});
  EXPECT_EQ(equal.status, kExitError) << equal.out;
}

}  // namespace
}  // namespace checkbit
