// quantize by the command line: receipts that hold, the same bytes from any number of threads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "cli/cli_test_console.h"
#include "cli/console.h"
#include "cli/quantize_receipt.h"
#include "file/model_file.h"
#include "quantize/tensor_journal.h"

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
  file.seekg(static_cast<std::streamoff>(size) - 200);
  const char was = static_cast<char>(file.get());
  file.seekp(static_cast<std::streamoff>(size) - 200);
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

/// Runs the program in a process of its own and kills it after `milliseconds`; true when it was
/// done before.
bool run_and_kill(const std::vector<std::string>& words, int milliseconds) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(run_in_process(words).status);
  int status = 0;
  for (int waited = 0; waited < milliseconds; ++waited) {
    if (::waitpid(child, &status, WNOHANG) == child) return WIFEXITED(status);
    ::usleep(1000);
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, &status, 0);
  return WIFEXITED(status);
}

TEST(QuantizeCommand, KilledAgainAndAgainItGoesOnAndGivesTheSameBytes) {
  const std::string out = scratch("killed.gguf"), whole = scratch("whole.gguf");
  const auto words = [](const std::string& path) {
    return std::vector<std::string>{"quantize",
                                    kModel,
                                    "-o",
                                    path,
                                    "--type",
                                    "CB2",
                                    "--pure",
                                    "--rounding",
                                    "descent",
                                    "--calibration",
                                    std::string(CHECKBIT_SOURCE_DIR) + "/docs/adding.md",
                                    "--calibration-tokens",
                                    "512",
                                    "--no-measure",
                                    "--threads",
                                    "1"};
  };
  bool done = false;
  for (int milliseconds = 20; !done && milliseconds < 100000; milliseconds += milliseconds / 2) {
    done = run_and_kill(words(out), milliseconds);
    EXPECT_EQ(std::filesystem::exists(out), done);
  }
  ASSERT_TRUE(done);
  EXPECT_FALSE(std::filesystem::exists(TensorJournal::path_for(out)));
  ASSERT_EQ(run_in_process(words(whole)).status, 0);
  const auto tensors = [](const std::string& path) {  // commands name the outputs
    const auto file = ModelFile::open(path);
    std::string bytes;
    for (const ModelTensor& t : file->tensors())
      bytes.append(reinterpret_cast<const char*>(t.bytes.data()), t.bytes.size());
    return bytes;
  };
  EXPECT_EQ(tensors(out), tensors(whole));
  std::filesystem::remove(out);
  std::filesystem::remove(whole);
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
