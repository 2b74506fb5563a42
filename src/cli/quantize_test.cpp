// quantize by the command line: receipts that hold, the same bytes from any number of threads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "cli/cli_test_console.h"
#include "cli/console.h"
#include "cli/quantize_receipt.h"

namespace checkbit {
namespace {

using ::testing::HasSubstr;

const std::string kModel = std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/llama-yarn.gguf";

std::string scratch(const std::string& name) {
  return (std::filesystem::temp_directory_path() /
          (std::to_string(std::hash<std::string>{}(::testing::TempDir())) + "-quantize-" + name))
      .string();
}

std::string bytes_of_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

TEST(QuantizeCommand, AReceiptMakesTheSameBytesOnAnyNumberOfThreads) {
  const std::string out = scratch("receipt.gguf");
  const CliResult made = run_in_process({"quantize", kModel, "-o", out, "--bpw", "4.5", "--quiet"});
  ASSERT_EQ(made.status, 0) << made.err;
  for (const char* threads : {"1", "2", "3"}) {
    const CliResult again =
        run_in_process({"quantize", "--verify-receipt", out, "--threads", threads, "--quiet"});
    EXPECT_EQ(again.status, 0) << again.err;
    EXPECT_THAT(again.out, HasSubstr("every byte is the same"));
  }
  EXPECT_FALSE(std::filesystem::exists(out + ".remade"));
  std::filesystem::remove(out);
}

TEST(QuantizeCommand, AFileThatIsNotWhatItsReceiptMakesNamesTheTensor) {
  const std::string out = scratch("changed.gguf");
  ASSERT_EQ(run_in_process({"quantize", kModel, "-o", out, "--type", "Q4_0", "--pure",
                            "--no-measure", "--quiet"})
                .status,
            0);
  const std::uintmax_t size = std::filesystem::file_size(out);
  std::fstream file(out, std::ios::binary | std::ios::in | std::ios::out);
  file.seekg(static_cast<std::streamoff>(size) - 5);
  const char was = static_cast<char>(file.get());
  file.seekp(static_cast<std::streamoff>(size) - 5);
  file.put(static_cast<char>(was ^ 1));
  file.close();
  const CliResult again = run_in_process({"quantize", "--verify-receipt", out, "--quiet"});
  EXPECT_EQ(again.status, 1);
  EXPECT_THAT(again.err, HasSubstr("in tensor "));
  EXPECT_FALSE(std::filesystem::exists(out + ".remade"));
  const CliResult none = run_in_process({"quantize", "--verify-receipt", kModel, "--quiet"});
  EXPECT_EQ(none.status, 1);
  EXPECT_THAT(none.err, HasSubstr("no receipt"));
  std::filesystem::remove(out);
}

TEST(QuantizeCommand, ACalibrationThatChangedIsSaidBeforeTheWork) {
  const std::string out = scratch("text.gguf"), text = scratch("text.txt");
  std::ofstream(text) << bytes_of_file(std::string(CHECKBIT_SOURCE_DIR) + "/README.md");
  const CliResult made =
      run_in_process({"quantize", kModel, "-o", out, "--type", "Q4_0", "--pure", "--rounding",
                      "weighted", "--calibration", text, "--no-measure", "--quiet"});
  ASSERT_EQ(made.status, 0) << made.err;
  EXPECT_EQ(run_in_process({"quantize", "--verify-receipt", out, "--quiet"}).status, 0);
  std::ofstream(text, std::ios::app) << "more";
  const CliResult again = run_in_process({"quantize", "--verify-receipt", out, "--quiet"});
  EXPECT_EQ(again.status, 1);
  EXPECT_THAT(again.err, HasSubstr("another calibration"));
  std::filesystem::remove(out);
  std::filesystem::remove(text);
}

TEST(QuantizeCommand, AllocationIsRefusedWhereTypesAreNamed) {
  const CliResult result = run_in_process(
      {"quantize", kModel, "-o", "x.gguf", "--type", "Q4_0", "--allocation", "table"});
  EXPECT_EQ(result.status, 2);
  EXPECT_THAT(result.err, HasSubstr("--allocation"));
}

TEST(QuantizeCommand, ShellWordsAreThoseThatWereQuoted) {
  const std::vector<std::string> words = {"checkbit", "a b", "it's", "", "$x", "--f=1"};
  const auto back = shell_words(shell_quote(words));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(*back, words);
  EXPECT_FALSE(shell_words("a 'b").ok());
}

}  // namespace
}  // namespace checkbit
