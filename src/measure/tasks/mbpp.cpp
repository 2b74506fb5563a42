// MBPP: short Python functions from one sentence and three asserts, run against these.
// lm-evaluation-harness: mbpp (pass@1, greedy, three examples).
//
// Form: JSONL as its authors publish it, {"text", "code", "task_id", "test_list"}. As they split
//   it, 11 to 510 are asked and 2, 3 and 4 are the examples; a file without these numbers is asked
//   from its start.
// Reference: J. Austin et al., "Program Synthesis with Large Language Models", 2021.

#include <algorithm>
#include <map>

#include "measure/tasks/json_records.h"
#include "measure/tasks/judge_program.h"
#include "sandbox/program.h"

namespace checkbit {
namespace {

constexpr std::size_t kExamples[] = {2, 3, 4};
constexpr std::size_t kFirstAsked = 11;
constexpr std::size_t kLastAsked = 510;
constexpr std::size_t kShownTests = 3;

struct Problem {
  std::size_t number = 0;
  TaskItem item;
};

Result<Problem> read_problem(const JsonRecord& record) {
  Problem problem;
  CB_TRY(problem.number, record.index("task_id"));
  CB_TRY(const std::string text, record.text("text"));
  CB_TRY(const std::vector<std::string> tests, record.texts("test_list"));
  CB_TRY(problem.item.answer, record.text("code"));
  if (tests.size() < kShownTests) return record.error("\"test_list\" has fewer than three tests");
  std::string shown = tests[0];
  for (std::size_t i = 1; i < kShownTests; ++i) shown += "\n" + tests[i];
  problem.item.line = record.line();
  problem.item.prompt = "You are an expert Python programmer, and here is your task: " + text +
                        " Your code should pass these tests:\n\n" + shown + "\n[BEGIN]\n";
  problem.item.fields = {{"tests", std::move(shown)}};
  return problem;
}

Result<TaskData> load(const TaskInput& input) {
  CB_TRY(const std::vector<JsonRecord> records, read_json_records(input));
  std::vector<Problem> problems;
  std::map<std::size_t, std::size_t> place_of;
  for (const JsonRecord& record : records) {
    CB_TRY(Problem problem, read_problem(record));
    place_of.emplace(problem.number, problems.size());
    problems.push_back(std::move(problem));
  }
  const auto has = [&](std::size_t number) { return place_of.contains(number); };
  const bool published = std::ranges::all_of(kExamples, has) && has(kFirstAsked);
  TaskData data;
  if (published) {
    for (const std::size_t number : kExamples) {
      const TaskItem& example = problems[place_of[number]].item;
      data.preamble += example.prompt + example.answer + "\n[DONE]\n\n";
    }
  }
  for (Problem& problem : problems) {
    const bool asked = problem.number >= kFirstAsked && problem.number <= kLastAsked;
    if (asked || !published) data.items.push_back(std::move(problem.item));
  }
  return data;
}

Result<std::vector<Verdict>> judge(const TaskItem& item, const std::string& text) {
  return judge_program(text + "\n" + item.fields["tests"].get<std::string>());
}

constexpr std::string_view kMeasures[] = {"accuracy"};
constexpr std::string_view kStop[] = {"[DONE]"};
constexpr std::string_view kSamples[] = {
    R"({"text": "Double a number.", "code": "def twice(x):\n  return 2 * x", "task_id": 1, "test_list": ["assert twice(1) == 2", "assert twice(2) == 4", "assert twice(0) == 0"]})"};

}  // namespace

extern const Task mbpp_task;
constinit const Task mbpp_task = {
    .name = "mbpp",
    .title = "MBPP",
    .what = "short Python functions from a sentence and three tests, run against them",
    .file_name = "mbpp.jsonl",
    .data_source = "mbpp.jsonl of google-research (J. Austin et al.)",
    .measures = kMeasures,
    .load = load,
    .samples = kSamples,
    .stop = kStop,
    .max_tokens = 256,
    .judge = judge,
    .able = check_containment};

}  // namespace checkbit
