// `checkbit measure` from the command line, on the tiny models of the repository.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "cli/cli_test_console.h"
#include "cli/measure_inputs.h"
#include "file/model_file.h"

namespace checkbit {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::string kTinyFolder = std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/";
const std::string kTiny = kTinyFolder + "llama-llama3.gguf";

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class Measure : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              ("checkbit_measure_" + std::to_string(::getpid()) + "_" +
               ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_);
    std::string words;
    for (int i = 0; i < 90; ++i) words += "word " + std::to_string(i * 7919 % 101) + ", again\n";
    text_ = write("text.txt", words);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path(name), std::ios::binary) << bytes;
    return path(name);
  }
  /// A candidate of the tiny model.
  std::string quantized(const std::string& type) const {
    const std::string name = path(type + ".gguf");
    const CliResult done =
        run_in_process({"quantize", kTiny, "-o", name, "--type", type, "--no-measure", "-q"});
    EXPECT_EQ(done.status, kExitDone) << done.err;
    return name;
  }
  /// The tiny model with another last norm.
  std::string burnt(float value) const {
    std::string bytes = read_file(kTiny);
    const auto file = ModelFile::open(kTiny);
    const ModelTensor* norm = file->find("output_norm.weight");
    EXPECT_NE(norm, nullptr);
    const std::string_view content(reinterpret_cast<const char*>(norm->bytes.data()),
                                   norm->bytes.size());
    const std::size_t at = bytes.find(content);
    EXPECT_NE(at, std::string::npos);
    const std::vector<float> values(content.size() / sizeof(float), value);
    bytes.replace(at, content.size(), reinterpret_cast<const char*>(values.data()), content.size());
    return write("burnt.gguf", bytes);
  }
  /// Finite, as loading asks, and more than the products can take.
  std::string with_overflow() const { return burnt(3e38F); }
  std::filesystem::path folder_;
  std::string text_;
};

TEST_F(Measure, SeveralModelsAgainstOneReference) {
  const std::string page = path("page.html");
  const CliResult result =
      run_in_process({"measure", quantized("Q8_0"), quantized("Q4_0"), "--against", kTiny, "--text",
                      text_, "-c", "64", "--report", page, "--json"});
  ASSERT_EQ(result.status, kExitDone) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  std::map<std::string, double> divergence;
  for (const auto& record : json["records"]) {
    if (record["name"] == "kl_divergence_mean") divergence[record["subject"]] = record["value"];
    if (record["name"] == "windows") {
      EXPECT_FALSE(record.contains("subject"));
    }
  }
  ASSERT_EQ(divergence.size(), 2U);
  EXPECT_GT(divergence["Q4_0"], divergence["Q8_0"]);
  EXPECT_THAT(read_file(page), HasSubstr("2 models against llama-llama3"));
  const CliResult text = run_in_process({"measure", path("Q8_0.gguf"), path("Q4_0.gguf"),
                                         "--against", kTiny, "--text", text_, "-c", "64"});
  EXPECT_THAT(text.out, HasSubstr("Q8_0 → Q4_0"));
  EXPECT_THAT(text.out, HasSubstr("measured_tokens_per_second"));
}

TEST_F(Measure, TwoRunsFromTheirJson) {
  for (const char* type : {"Q8_0", "Q4_0"}) {
    const CliResult run = run_in_process(
        {"measure", quantized(type), "--against", kTiny, "--text", text_, "-c", "64", "--json"});
    ASSERT_EQ(run.status, kExitDone) << run.err;
    write(std::string(type) + ".json", run.out);
  }
  const std::string page = path("page.html");
  const CliResult result = run_in_process(
      {"measure", "--compare", path("Q8_0.json"), path("Q4_0.json"), "--report", page});
  ASSERT_EQ(result.status, kExitDone) << result.err;
  EXPECT_EQ(result.err, "");
  EXPECT_THAT(result.out, HasSubstr("Q8_0 → Q4_0"));
  EXPECT_THAT(read_file(page), HasSubstr("measure --compare"));
  const CliResult wrong = run_in_process({"measure", "--compare", path("Q8_0.json"), text_});
  EXPECT_EQ(wrong.status, kExitError);
  EXPECT_THAT(wrong.err, HasSubstr("text.txt: not what `checkbit measure --json` writes"));
  EXPECT_EQ(run_in_process({"measure", "--compare", path("Q8_0.json")}).status, kExitUsage);
}

TEST_F(Measure, ABrokenModelIsNamedAndTheOtherMeasured) {
  const std::string good = quantized("Q8_0");
  const CliResult alone =
      run_in_process({"measure", good, "--against", kTiny, "--text", text_, "-c", "64", "--json"});
  const CliResult both = run_in_process({"measure", with_overflow(), good, "--against", kTiny,
                                         "--text", text_, "-c", "64", "--json"});
  EXPECT_EQ(both.status, kExitError);
  EXPECT_THAT(both.err, HasSubstr("burnt.gguf: logits are not finite in window 0"));
  const auto value = [](const CliResult& result) {
    double mean = -1;
    int found = 0;
    const auto json = nlohmann::json::parse(result.out);
    for (const auto& record : json["records"]) {
      if (record["name"] != "kl_divergence_mean") continue;
      mean = record["value"];
      ++found;
    }
    EXPECT_EQ(found, 1) << "nothing of the broken model";
    return mean;
  };
  EXPECT_EQ(value(both), value(alone));
  const CliResult reference = run_in_process(
      {"measure", good, "--against", path("burnt.gguf"), "--text", text_, "-c", "64"});
  EXPECT_EQ(reference.status, kExitError);
  EXPECT_EQ(reference.out, "");
}

TEST_F(Measure, AModelThatCannotBeOpenedIsNamedAndTheOtherMeasured) {
  const std::string nan = burnt(std::numeric_limits<float>::quiet_NaN());
  const CliResult both = run_in_process(
      {"measure", nan, quantized("Q8_0"), "--against", kTiny, "--text", text_, "-c", "64"});
  EXPECT_EQ(both.status, kExitError);
  EXPECT_THAT(both.out, HasSubstr("burnt is broken"));
  EXPECT_THAT(both.out, HasSubstr("Of 1 model on text.txt"));
  EXPECT_THAT(both.err, HasSubstr("burnt.gguf"));
  const CliResult alone = run_in_process({"measure", nan, "--text", text_, "-c", "64"});
  EXPECT_EQ(alone.status, kExitError);
  EXPECT_EQ(alone.out, "");
}

TEST_F(Measure, TokenizersThatDifferSayWhere) {
  const CliResult result =
      run_in_process({"measure", kTiny, "--against", kTinyFolder + "gemma3-window.gguf", "--text",
                      text_, "-c", "64"});
  EXPECT_EQ(result.status, kExitError);
  EXPECT_THAT(result.err, HasSubstr("split the text differently from token"));
  EXPECT_THAT(result.err, HasSubstr("against \""));
}

TEST_F(Measure, StopsEarlyAndSaysSo) {
  const CliResult result = run_in_process({"measure", quantized("Q4_0"), "--against", kTiny,
                                           "--text", text_, "-c", "8", "--until", "60%"});
  ASSERT_EQ(result.status, kExitDone) << result.err;
  EXPECT_THAT(result.out, HasSubstr("spared: the interval is within"));
  EXPECT_THAT(result.out, HasSubstr("windows_spared"));
  for (const char* wrong : {"0", "100%", "x", "-2%", "2%%", "", "nan"}) {
    const CliResult refused = run_in_process({"measure", kTiny, "--text", text_, "--until", wrong});
    EXPECT_EQ(refused.status, kExitUsage) << wrong;
  }
  EXPECT_EQ(parse_share("2%"), 0.02);
  EXPECT_EQ(parse_share("2.5 %"), 0.025);
  EXPECT_EQ(parse_share("0.02"), 0.02);
}

TEST_F(Measure, DocumentsBeginWhereTheUserSays) {
  std::string text;
  for (int i = 0; i < 4; ++i) {
    text += "---\nTitle " + std::to_string(i) + "\n" + read_file(text_).substr(0, 600) + "\n";
  }
  const std::string file = write("documents.txt", text);
  const std::string page = path("page.html");
  const CliResult result =
      run_in_process({"measure", quantized("Q4_0"), "--against", kTiny, "--text", file, "-c", "64",
                      "--document-break", "---", "--report", page});
  ASSERT_EQ(result.status, kExitDone) << result.err;
  EXPECT_THAT(result.err, Not(HasSubstr("documents")));
  for (const char* part : {"By document", "Title 0", "Title 3"}) {
    EXPECT_THAT(read_file(page), HasSubstr(part));
  }
  const CliResult none =
      run_in_process({"measure", kTiny, "--text", text_, "-c", "64", "--document-break", "never"});
  EXPECT_THAT(none.err, HasSubstr("fewer than two documents"));
}

}  // namespace
}  // namespace checkbit
