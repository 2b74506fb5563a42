// The tasks whose answers are run: prompts as the harness makes them, and judges that are not
// fooled.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/test_stride.h"
#include "measure/tasks/judge_program.h"
#include "measure/tasks/judge_queue.h"
#include "sandbox/program.h"

namespace checkbit {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TaskData loaded(std::string_view task, std::string text) {
  auto data = find_task(task)->load({CHECKBIT_SOURCE_DIR "/tests/data/tasks/file.json", text});
  EXPECT_TRUE(data.ok()) << data.error().message;
  return data.ok() ? *std::move(data) : TaskData();
}

Verdict judged(const std::string& source) {
  const auto verdicts = judge_program(source);
  EXPECT_TRUE(verdicts.ok()) << verdicts.error().message;
  return verdicts.ok() ? verdicts->front() : Verdict{};
}

class WrittenCode : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto able = check_containment(); !able) GTEST_SKIP() << able.error().message;
  }
};

TEST_F(WrittenCode, OnlyReachingTheEndIsRight) {
  EXPECT_TRUE(judged("assert 1 + 1 == 2").right);
  EXPECT_TRUE(judged("print('x' * 10**6)").right);
  const std::pair<const char*, const char*> wrong[] = {
      {"assert 1 == 2, 'no'", "AssertionError: no"},
      {"import sys\nsys.exit(0)", "ended before its tests, status 0"},
      {"import os\nos._exit(0)", "ended before its tests, status 0"},
      {"raise SystemExit", "ended before its tests, status 0"},
      {"def f(:", "SyntaxError"},
      {"x = '''", "SyntaxError"},
      {"nothing", "NameError"},
      {"import os\nos.abort()", "signal 6"},
      {"x = bytearray(1 << 33)", "MemoryError"},
      {"while True: pass", "out of processor time"},
  };
  for (const auto& [source, why] : wrong) {
    const Verdict verdict = judged(source);
    EXPECT_FALSE(verdict.right) << source;
    EXPECT_THAT(verdict.answer, HasSubstr(why)) << source;
  }
}

TEST_F(WrittenCode, HumanEvalRunsPromptAnswerAndTest) {
  const Task& task = *find_task("humaneval");
  const TaskData data = loaded("humaneval", std::string(task.samples.front()));
  const TaskItem& item = data.items.front();
  EXPECT_THAT(item.prompt, StartsWith("def twice(x):"));
  EXPECT_TRUE(task.judge(item, "    return x + x")->front().right);
  EXPECT_FALSE(task.judge(item, "    return x")->front().right);
  EXPECT_FALSE(task.judge(item, "")->front().right);  // the docstring alone: gives None
}

/// The public files, where CHECKBIT_TEXTS says or beside the repository.
std::string data_file(const std::string& name) {
  const char* folder = std::getenv("CHECKBIT_TEXTS");
  return (folder != nullptr ? std::string(folder) : CHECKBIT_SOURCE_DIR "/../shared/data") + "/" +
         name;
}

// The sets' own solutions pass in the box: it keeps nothing from an honest program. One does not:
// it needs set-up code that the harness leaves out.
const std::string kFailing = "mbpp 367";

TEST_F(WrittenCode, PublishedSolutionsPass) {
  const std::size_t stride = static_cast<std::size_t>(test_stride()) * 4;
  for (const auto& [name, file] :
       {std::pair{"humaneval", "HumanEval.jsonl.gz"}, std::pair{"mbpp", "mbpp.jsonl"},
        std::pair{"sql", "geography_dev.json"}}) {
    std::ostringstream text;
    text << std::ifstream(data_file(file), std::ios::binary).rdbuf();
    if (text.str().empty()) GTEST_SKIP() << data_file(file) << " is not there";
    const Task& task = *find_task(name);
    const auto data = task.load({data_file(file), text.str()});
    ASSERT_TRUE(data.ok()) << data.error().message;
    std::vector<std::vector<Verdict>> verdicts(data->items.size());
    JudgeQueue queue(task, data->items, verdicts);
    for (std::size_t i = 0; i < verdicts.size(); i += stride) {
      ASSERT_TRUE(queue.add(i, data->items[i].answer).ok());
    }
    ASSERT_TRUE(queue.finish().ok());
    for (std::size_t i = 0; i < verdicts.size(); i += stride) {
      const std::string item = name + (" " + std::to_string(data->items[i].line));
      EXPECT_EQ(verdicts[i][0].right, item != kFailing) << item << ": " << verdicts[i][0].answer;
    }
  }
}

std::string problem(int number) {
  return R"({"task_id": )" + std::to_string(number) + R"(, "text": "Task )" +
         std::to_string(number) + R"(.", "code": "x = )" + std::to_string(number) +
         R"(", "test_list": ["assert True", "assert x > 0", "assert x < 1000"], "test_setup_code": ""})" +
         "\n";
}

TEST(MbppData, ShowsThreeExamplesAndAsksTheTestSplit) {
  std::string text;
  for (int number = 1; number <= 600; ++number) text += problem(number);
  const TaskData data = loaded("mbpp", text);
  ASSERT_EQ(data.items.size(), 500u);
  EXPECT_EQ(data.items.front().line, 11u);
  EXPECT_EQ(data.items.back().line, 510u);
  EXPECT_EQ(data.items.front().prompt,
            "You are an expert Python programmer, and here is your task: Task 11. Your code should "
            "pass these tests:\n\nassert True\nassert x > 0\nassert x < 1000\n[BEGIN]\n");
  EXPECT_THAT(data.preamble, StartsWith("You are an expert Python programmer, and here is your "
                                        "task: Task 2. Your code"));
  EXPECT_THAT(data.preamble, HasSubstr("[BEGIN]\nx = 3\n[DONE]\n\nYou are"));
  EXPECT_TRUE(data.preamble.ends_with("x = 4\n[DONE]\n\n"));
  EXPECT_EQ(loaded("mbpp", problem(7) + problem(8)).items.size(), 2u);
}

TEST(SqlData, TakesQuestionsByTurnsWithTheirValues) {
  const TaskData data = loaded("sql", R"([
{"sentences": [{"text": "towns of land0", "variables": {"land0": "hesse"}, "question-split": "test"},
               {"text": "all of land0", "variables": {"land0": "baden"}, "question-split": "dev"},
               {"text": "not asked", "variables": {"land0": "x"}, "question-split": "train"}],
 "sql": ["SELECT name FROM town WHERE land = \"land0\" ;"]},
{"sentences": [{"text": "broken", "variables": {}}], "sql": ["SELECT nothing FROM town"]},
{"sentences": [{"text": "how\nmany", "variables": {}}], "sql": ["SELECT count(*) FROM town"]}])");
  ASSERT_EQ(data.items.size(), 3u);
  EXPECT_EQ(data.items[0].prompt, "-- towns of hesse\nSELECT");
  EXPECT_EQ(data.items[0].answer, "name FROM town WHERE land = \"hesse\" ;");
  EXPECT_EQ(data.items[1].prompt, "-- how many\nSELECT");
  EXPECT_EQ(data.items[2].prompt, "-- all of baden\nSELECT");
  EXPECT_THAT(data.preamble, HasSubstr("CREATE TABLE town(name TEXT, land TEXT, people INTEGER);"));
  EXPECT_THAT(data.preamble, HasSubstr("'Ulm', 'baden', 126000\n"));
  const Task& task = *find_task("sql");
  const auto right = [&](std::size_t item, const char* text) {
    return task.judge(data.items[item], text)->front().right;
  };
  EXPECT_TRUE(right(0, " t.name FROM town t WHERE t.land IN ('hesse') ORDER BY people DESC"));
  EXPECT_FALSE(right(0, " name FROM town"));
  EXPECT_FALSE(right(0, " nonsense"));
  EXPECT_FALSE(right(0, " 1; DROP TABLE town"));
  EXPECT_TRUE(right(1, " 2 + 2.0"));
}

TEST(SqlData, WithoutItsDatabaseItSaysWhichFileIsMissing) {
  const auto data = find_task("sql")->load(
      {"/nowhere/towns_dev.json", std::string(find_task("sql")->samples.front())});
  ASSERT_FALSE(data.ok());
  EXPECT_THAT(data.error().message, HasSubstr("/nowhere/towns.sqlite"));
}

TEST(JudgeQueueTest, JudgesBesideAndStopsAtTheFirstError) {
  static std::atomic<int> judged_answers;
  judged_answers = 0;
  Task task = *find_task("gsm8k");
  static constexpr std::string_view kOne[] = {"accuracy"};
  task.measures = kOne;
  task.judge = [](const TaskItem& item, const std::string& text) -> Result<std::vector<Verdict>> {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    if (text == "broken") return fail(ErrorKind::io, "cannot judge");
    ++judged_answers;
    return std::vector<Verdict>{{text, text == item.prompt}};
  };
  std::vector<TaskItem> items(40);
  for (std::size_t i = 0; i < items.size(); ++i) items[i].prompt = std::to_string(i % 20);
  std::vector<std::vector<Verdict>> verdicts(items.size());
  {
    JudgeQueue queue(task, items, verdicts);
    for (std::size_t i = 0; i < items.size(); ++i) {
      ASSERT_TRUE(queue.add(i, std::to_string(i)).ok());
    }
    ASSERT_TRUE(queue.finish().ok());
  }
  for (std::size_t i = 0; i < items.size(); ++i) EXPECT_EQ(verdicts[i][0].right, i < 20) << i;
  JudgeQueue queue(task, items, verdicts);
  EXPECT_TRUE(queue.add(0, "broken").ok());
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_EQ(queue.add(1, "late").error().message, "cannot judge");
  EXPECT_EQ(queue.finish().error().message, "cannot judge");
  EXPECT_EQ(judged_answers, 40);
}

}  // namespace
}  // namespace checkbit
