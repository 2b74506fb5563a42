// HumanEval: Python functions from their signature and docstring, run against tests.
// lm-evaluation-harness: humaneval (pass@1, greedy): the prompt as it is, nothing before it.
//
// Form: JSONL as its authors publish it, also packed with gzip (HumanEval.jsonl.gz), {"task_id",
//   "prompt", "entry_point", "canonical_solution", "test"}.
// Reference: M. Chen et al., "Evaluating Large Language Models Trained on Code", 2021.

#include <cctype>

#include "measure/tasks/json_records.h"
#include "measure/tasks/judge_program.h"
#include "sandbox/program.h"

namespace checkbit {
namespace {

Result<TaskItem> make_item(const JsonRecord& record) {
  TaskItem item;
  item.line = record.line();
  CB_TRY(item.prompt, record.text("prompt"));
  CB_TRY(item.answer, record.text("canonical_solution"));
  CB_TRY(std::string test, record.text("test"));
  CB_TRY(std::string entry, record.text("entry_point"));
  if (item.prompt.empty()) return record.error("\"prompt\" is empty");
  item.fields = {{"test", std::move(test)}, {"entry_point", std::move(entry)}};
  return item;
}

Result<TaskData> load(const TaskInput& input) { return load_json_items(input, make_item); }

Result<std::vector<Verdict>> judge(const TaskItem& item, const std::string& text) {
  return judge_program(item.prompt + text + "\n" + item.fields["test"].get<std::string>() +
                       "\ncheck(" + item.fields["entry_point"].get<std::string>() + ")");
}

constexpr std::string_view kMeasures[] = {"accuracy"};
constexpr std::string_view kStop[] = {"\nclass", "\ndef", "\n#", "\nif", "\nprint"};
constexpr std::string_view kSamples[] = {
    R"({"task_id": "T/0", "prompt": "def twice(x):\n    \"\"\"2 x\"\"\"\n", "entry_point": "twice", "canonical_solution": "    return 2 * x\n", "test": "def check(f):\n    assert f(2) == 4\n"})"};

}  // namespace

extern const Task humaneval_task;
constinit const Task humaneval_task = {
    .name = "humaneval",
    .title = "HumanEval",
    .what = "Python functions from their docstrings, run against tests",
    .file_name = "HumanEval.jsonl.gz",
    .data_source = "HumanEval.jsonl.gz of human-eval (M. Chen et al.)",
    .measures = kMeasures,
    .load = load,
    .samples = kSamples,
    .stop = kStop,
    .max_tokens = 1024,
    .judge = judge,
    .able = check_containment};

}  // namespace checkbit
