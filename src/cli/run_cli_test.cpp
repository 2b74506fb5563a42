#include "cli/run_cli.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>

#include "base/progress.h"
#include "cli/cli_test_console.h"
#include "cli/command.h"
#include "cli/help.h"
#include "report/text.h"

namespace checkbit {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

/// Every user's error: status 1, nothing on out, one line on err that starts as promised.
void expect_one_line_error(const CliResult& result, const std::string& part) {
  EXPECT_EQ(result.status, kExitError);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, StartsWith("checkbit: error: "));
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  EXPECT_THAT(result.err, HasSubstr(part));
}

void expect_usage_error(const CliResult& result, const std::string& part) {
  EXPECT_EQ(result.status, kExitUsage);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, StartsWith("checkbit: error: "));
  EXPECT_THAT(result.err, HasSubstr(part));
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

class CliFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              ("checkbit_cli_" + std::to_string(::getpid()) + "_" +
               ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_);
    ::setenv("CHECKBIT_HOME", (folder_ / "home").c_str(), 1);
  }
  void TearDown() override {
    ::unsetenv("CHECKBIT_HOME");
    std::filesystem::remove_all(folder_);
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path(name), std::ios::binary) << bytes;
    return path(name);
  }
  std::filesystem::path folder_;
};

TEST(Cli, WithoutWordsListsTheCommands) {
  const CliResult result = run_in_process({});
  EXPECT_EQ(result.status, kExitDone);
  for (const Command* command : all_commands()) {
    if (!command->group.empty()) {
      EXPECT_THAT(result.out, HasSubstr(command->name));
    }
  }
}

void expect_fits(const std::string& text, int width) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    EXPECT_LE(display_width(line), static_cast<std::size_t>(width)) << line;
}

/// As a shell reads it: a backslash at the end of a line joins the next one.
std::string joined_lines(const std::string& text) {
  return std::regex_replace(text, std::regex(R"( \\\n *)"), " ");
}

TEST(Cli, HelpOfEveryCommandFitsItsTerminalAndShowsItsExamples) {
  for (const int width : {60, 80}) {
    for (const Command* command : all_commands()) {
      const CliResult result =
          run_in_process({std::string(command->name), "--help"}, "", false, width);
      EXPECT_EQ(result.status, kExitDone) << command->name;
      EXPECT_THAT(result.out, HasSubstr(synopsis(*command)));
      EXPECT_FALSE(command->examples.empty()) << command->name;
      for (const auto& example : command->examples)
        EXPECT_THAT(joined_lines(result.out), HasSubstr(example.command));
      expect_fits(result.out, width);
    }
    expect_fits(run_in_process({}, "", false, width).out, width);
    expect_fits(run_in_process({"pull", "--list"}, "", false, width).out, width);
  }
}

TEST(Cli, ModelsThatCanBePulledAreListedAsJson) {
  const auto json = nlohmann::json::parse(run_in_process({"pull", "--list", "--json"}).out);
  EXPECT_TRUE(json["records"].empty());
  EXPECT_TRUE(json["environment"].is_object());
  ASSERT_FALSE(json["models"].empty());
  for (const auto& model : json["models"]) {
    EXPECT_GT(model["size_bytes"].get<double>(), 1e6);
    EXPECT_TRUE(model["pulled"].is_boolean());
    for (const char* key : {"name", "licence", "summary"}) EXPECT_NE(model[key], "") << key;
  }
}

const std::string kTiny = std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/llama-yarn.gguf";

TEST_F(CliFiles, WhatAModelReadsIsUtf8AndNotEmpty) {
  const std::string broken = "caf\xe9 au lait";
  const auto run = [](const std::vector<std::string>& more, const std::string& input = "") {
    std::vector<std::string> words = {"run", kTiny, "--quiet", "-n", "1"};
    words.insert(words.end(), more.begin(), more.end());
    return run_in_process(words, input);
  };
  const std::string bad = "not valid UTF-8 at byte 3";
  for (const char* raw : {"--raw", "--no-color"}) {
    expect_one_line_error(run({raw, "-p", broken}), "the prompt: " + bad);
    expect_one_line_error(run({raw, "-p", ""}), "the prompt: the text is empty");
    expect_one_line_error(run({raw, "-f", write("latin1.txt", broken)}), "latin1.txt: " + bad);
    expect_one_line_error(run({raw, "-f", write("empty.txt", "")}), "empty.txt: the text is empty");
    expect_one_line_error(run({raw, "-f", "-"}, broken), bad);
  }
  expect_one_line_error(run({"-p", "a", "--system", broken}), "the system message: " + bad);
  expect_one_line_error(run_in_process({"chat", kTiny, "-q"}, broken + "\n"), bad);
  expect_one_line_error(run_in_process({"measure", kTiny, "--text", path("latin1.txt")}), bad);
}

TEST_F(CliFiles, AnImpossibleOutputIsKnownBeforeTheWork) {
  const std::string text = write("text.txt", std::string(4000, 'a'));
  expect_one_line_error(run_in_process({"measure", kTiny, "--text", text, "-c", "64", "--report",
                                        path("none/page.html")}),
                        "there is no folder");
  expect_one_line_error(
      run_in_process({"run", kTiny, "-q", "-p", "a", "-n", "0", "--logits-out", folder_.string()}),
      "is a folder");
}

TEST(Cli, RecordsOfCommandsAreComplete) {
  for (const Command* command : all_commands()) {
    EXPECT_NE(command->run, nullptr) << command->name;
    EXPECT_FALSE(command->summary.empty()) << command->name;
    EXPECT_FALSE(command->description.empty()) << command->name;
    for (const auto& flag : command->flags) {
      EXPECT_THAT(std::string(flag.name), StartsWith("--")) << command->name;
      EXPECT_FALSE(flag.help.empty()) << command->name << flag.name;
      EXPECT_EQ(flag.kind == ValueKind::none, flag.value_name.empty())
          << command->name << flag.name;
      EXPECT_EQ(flag.kind == ValueKind::choice, !flag.choices.empty())
          << command->name << flag.name;
      for (const auto& common : common_flags()) EXPECT_NE(flag.name, common.name) << command->name;
    }
  }
}

TEST(Cli, ReferenceIsCurrent) {
  const std::string written = read_file(std::string(CHECKBIT_SOURCE_DIR) + "/docs/reference.md");
  EXPECT_TRUE(written == markdown_reference())
      << "docs/reference.md is not what the commands say: run `make reference`";
}

TEST(Cli, Version) {
  const CliResult result = run_in_process({"--version"});
  EXPECT_EQ(result.status, kExitDone);
  EXPECT_TRUE(std::regex_match(result.out, std::regex("checkbit [0-9]+\\.[0-9]+\\.[0-9]+\n")))
      << result.out;
}

TEST(Cli, UnknownCommandSuggestsOne) {
  expect_usage_error(run_in_process({"inspekt"}), "did you mean inspect?");
  expect_usage_error(run_in_process({"xyzzy"}), "unknown command 'xyzzy'");
}

TEST(Cli, UnknownFlagSuggestsOne) {
  expect_usage_error(run_in_process({"inspect", "m", "--contxt", "5"}), "did you mean --context?");
  expect_usage_error(run_in_process({"--frobnicate"}), "unknown flag --frobnicate");
}

TEST(Cli, MissingAndSurplusArguments) {
  expect_usage_error(run_in_process({"inspect"}), "MODEL is missing");
  expect_usage_error(run_in_process({"inspect", "a", "b"}), "unexpected argument 'b'");
  expect_usage_error(run_in_process({"inspect", "a", "--context"}), "--context needs a value");
  expect_usage_error(run_in_process({"run", "a", "--guard=some"}), "'some' is not one of off");
  expect_usage_error(run_in_process({"inspect", "a", "--json=3"}), "--json");
}

TEST(Cli, GuardAloneIsCheckAndTakesNoOtherWord) {
  const auto guarded = [](std::vector<std::string> words) {
    words.insert(words.end(), {"--raw", "-p", "a", "-n", "1", "--json"});
    const CliResult result = run_in_process(words);
    EXPECT_EQ(result.status, kExitDone) << result.err;
    return result.out.find("\"guard_checks\"") != std::string::npos;
  };
  EXPECT_TRUE(guarded({"run", "--guard", kTiny}));
  EXPECT_TRUE(guarded({"run", kTiny, "--guard"}));
  EXPECT_FALSE(guarded({"run", kTiny, "--guard", "off"}));
}

TEST(Cli, ValuesAreChecked) {
  expect_usage_error(run_in_process({"inspect", "a", "--context", "abc"}),
                     "'abc' is not a whole number");
  expect_usage_error(run_in_process({"inspect", "a", "--context", "99999999999999999999"}),
                     "is out of range");
  expect_usage_error(run_in_process({"inspect", "a", "--context", "9223372036854775807"}),
                     "the most is 1073741824");
  expect_usage_error(run_in_process({"inspect", "a", "--context", ""}), "'' is not a whole number");
  expect_usage_error(run_in_process({"run", "a", "-p", "b", "--top-p", "7"}), "the most is 1");
  expect_usage_error(run_in_process({"run", "a", "-p", "b", "--min-p", "1.1"}), "the most is 1");
  expect_usage_error(run_in_process({"run", "a", "-p", "b", "--stop", ""}), "--stop: '' is empty");
  expect_usage_error(run_in_process({"inspect", "a", "--context", "0"}), "the least is 1");
  expect_usage_error(run_in_process({"inspect", "a", "--context", "-5"}), "the least is 1");
  expect_usage_error(run_in_process({"inspect", "a", "--threads", "0"}), "--threads");
  expect_usage_error(run_in_process({"inspect", "a", "--threads", "513"}), "the most is 512");
  expect_usage_error(run_in_process({"completions", "fish"}), "is not one of bash, zsh");
  expect_usage_error(run_in_process({"inspect", ""}), "is empty");
  expect_usage_error(run_in_process({"inspect", "a", "--context", "5", "--context", "6"}),
                     "given twice");
}

TEST(Cli, CombinationsAreChecked) {
  expect_usage_error(run_in_process({"inspect", "a", "--dump-tensor", "x"}), "go together");
  expect_usage_error(run_in_process({"tokenize", "a"}), "give TEXT, or --file");
  expect_usage_error(run_in_process({"pull"}), "--list");
}

TEST_F(CliFiles, CommonFlagsStandBeforeOrAfterTheCommand) {
  for (const auto& words : std::vector<std::vector<std::string>>{
           {"--threads", "2", "--quiet", "inspect", path("none.gguf")},
           {"inspect", path("none.gguf"), "-q", "--threads=2", "--no-color"}}) {
    expect_one_line_error(run_in_process(words), "none.gguf");
  }
}

TEST_F(CliFiles, WhatIsNoModelIsOneLine) {
  expect_one_line_error(run_in_process({"inspect", path("absent.gguf")}), "absent.gguf");
  expect_one_line_error(run_in_process({"inspect", folder_.string()}), "directory");
  expect_one_line_error(run_in_process({"inspect", write("empty.gguf", "")}), "empty.gguf");
  expect_one_line_error(
      run_in_process({"inspect", write("page.gguf", "<!DOCTYPE html><html></html>")}), "page.gguf");
  expect_one_line_error(run_in_process({"inspect", "/dev/null"}), "/dev/null");
  expect_one_line_error(run_in_process({"inspect", "no-such-model"}), "no-such-model");
  ASSERT_EQ(::mkfifo(path("pipe.gguf").c_str(), 0600), 0);
  expect_one_line_error(run_in_process({"inspect", path("pipe.gguf")}), "pipe");
}

TEST_F(CliFiles, NamesAfterTheMarkAreNoFlags) {
  expect_one_line_error(run_in_process({"inspect", "--", "-none.gguf"}),
                        "-none.gguf: no such file");
  expect_usage_error(run_in_process({"inspect", "a", "--", "--json"}), "unexpected argument");
}

TEST_F(CliFiles, ControlCharactersOfNamesDoNotReachTheTerminal) {
  const CliResult result = run_in_process({"inspect", path("a\x1b[2Jb\nc.gguf")});
  expect_one_line_error(result, "c.gguf");
  EXPECT_THAT(result.err, Not(HasSubstr("\x1b")));
}

TEST(Cli, ColourOnlyInATerminal) {
  EXPECT_THAT(run_in_process({"--help"}).out, Not(HasSubstr("\x1b")));
  EXPECT_THAT(run_in_process({"--help"}, "", true).out, HasSubstr("\x1b"));
  EXPECT_THAT(run_in_process({"--no-color", "--help"}, "", true).out, Not(HasSubstr("\x1b")));
}

TEST(Cli, FailedOutputIsAnError) {
  std::istringstream in;
  std::ostringstream out;
  std::ostringstream err;
  Console console{.in = in, .out = out, .err = err};
  out.setstate(std::ios::badbit);
  EXPECT_EQ(run_cli({"completions", "bash"}, console), kExitError);
  EXPECT_THAT(err.str(), HasSubstr("could not be written"));
}

TEST(Cli, CommandLineIsQuotedForAShell) {
  EXPECT_EQ(shell_quote({"checkbit", "run", "a b", "it's", "", "--x=1"}),
            "checkbit run 'a b' 'it'\\''s' '' --x=1");
}

TEST(Cli, CompletionsNameEveryCommandAndFlag) {
  for (const char* shell : {"bash", "zsh"}) {
    const CliResult result = run_in_process({"completions", shell});
    EXPECT_EQ(result.status, kExitDone);
    for (const Command* command : all_commands()) {
      EXPECT_THAT(result.out, HasSubstr(command->name));
      for (const auto& flag : command->flags)
        EXPECT_THAT(result.out, HasSubstr(flag.name)) << shell;
    }
  }
}

TEST_F(CliFiles, CompletionsListPulledModels) {
  std::filesystem::create_directories(folder_ / "home" / "models");
  write("home/models/tiny.gguf", "GGUF");
  EXPECT_EQ(run_in_process({"completions", "models"}).out, "tiny\n");
  EXPECT_THAT(run_in_process({"completions", "catalogue"}).out, HasSubstr("smollm2-135m\n"));
  EXPECT_THAT(run_in_process({"completions", "types"}).out, HasSubstr("Q4_K_M\n"));
}

TEST_F(CliFiles, TemplateRendersAFile) {
  const std::string source = write("hello.jinja", "Hello {{ name }}, {{ strftime_now('%Y') }}");
  const std::string variables = write("variables.json", R"({"name": "world"})");
  const CliResult result =
      run_in_process({"template", source, "--variables", variables, "--now", "0"});
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(result.out, "Hello world, 1970");
  expect_one_line_error(
      run_in_process({"template", source, "--variables", write("list.json", "[1]")}), "list.json");
  expect_one_line_error(run_in_process({"template", source, "--variables", path("none.json")}),
                        "none.json");
  expect_usage_error(run_in_process({"template", source}), "--variables");
}

}  // namespace
}  // namespace checkbit
