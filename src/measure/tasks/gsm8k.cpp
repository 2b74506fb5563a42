// GSM8K: word problems of arithmetic, answered in steps. lm-evaluation-harness: gsm8k, five
// examples; "strict" is the number after ####, "flexible" the last number of the text.
//
// Form: JSONL as its authors publish it, {"question", "answer"}, the answer ending in "#### 42".
// The
//   examples are the first items, which are then not asked.
// Reference: K. Cobbe et al., "Training Verifiers to Solve Math Word Problems", 2021.

#include <algorithm>

#include "measure/tasks/json_records.h"

namespace checkbit {
namespace {

constexpr std::string_view kMark = "#### ";
constexpr std::string_view kNothing = "[none]";

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_number_part(char c) { return is_digit(c) || c == '.' || c == ','; }

/// The first "#### NUMBER": an optional minus, then digits, points and commas.
std::string strict_number(std::string_view text) {
  for (std::size_t at = text.find(kMark); at != std::string_view::npos; at = text.find(kMark, at)) {
    at += kMark.size();
    std::size_t end = at < text.size() && text[at] == '-' ? at + 1 : at;
    const std::size_t digits = end;
    while (end < text.size() && is_number_part(text[end])) ++end;
    if (end > digits) return std::string(text.substr(at, end - at));
    at -= 1;  // "#### #### 5": the mark's own end may begin another
  }
  return std::string(kNothing);
}

/// The last number: two or more of digits, points, commas and dollar signs, or digits alone.
std::string flexible_number(std::string_view text) {
  const auto is_part = [](char c) { return is_number_part(c) || c == '$'; };
  std::string_view last = kNothing;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t start = text[at] == '-' ? at + 1 : at;
    std::size_t end = start;
    while (end < text.size() && is_part(text[end])) ++end;
    const bool number = end - start >= 2 || (end - start == 1 && is_digit(text[start]));
    if (number) last = text.substr(at, end - at);
    at = number ? end : at + 1;
  }
  return std::string(last);
}

/// What the harness compares: without commas, dollar signs, all up to the last mark, a last point.
std::string normalized(std::string text) {
  std::erase(text, ',');
  std::erase(text, '$');
  if (const std::size_t mark = text.rfind(kMark); mark != std::string::npos)
    text.erase(0, mark + kMark.size());
  if (text.ends_with('.')) text.pop_back();
  return text;
}

Result<std::vector<Verdict>> judge(const TaskItem& item, const std::string& text) {
  const std::string right = normalized(item.answer);
  std::vector<Verdict> verdicts;
  for (std::string found : {strict_number(text), flexible_number(text)}) {
    const bool same = found != kNothing && normalized(found) == right;
    verdicts.push_back({std::move(found), same});
  }
  return verdicts;
}

Result<TaskItem> make_item(const JsonRecord& record) {
  CB_TRY(const std::string question, record.text("question"));
  TaskItem item;
  CB_TRY(item.answer, record.text("answer"));
  if (strict_number(item.answer) == kNothing)
    return record.error("\"answer\" does not end in \"#### NUMBER\"");
  item.line = record.line();
  item.prompt = "Question: " + question + "\nAnswer:";
  return item;
}

Result<TaskData> load(const TaskInput& input) { return load_json_items(input, make_item); }

constexpr std::string_view kMeasures[] = {"accuracy_strict", "accuracy_flexible"};
constexpr std::string_view kSamples[] = {
    R"({"question": "How many are 2 and 3?", "answer": "2+3=5.\n#### 5"})"};
constexpr std::string_view kStop[] = {"Question:", "</s>", "<|im_end|>"};

}  // namespace

extern const Task gsm8k_task;
constinit const Task gsm8k_task = {
    .name = "gsm8k",
    .title = "GSM8K",
    .what = "word problems, answered in steps after five examples",
    .file_name = "gsm8k_test.jsonl",
    .data_source = "test.jsonl of grade-school-math (K. Cobbe et al.)",
    .measures = kMeasures,
    .examples = 5,
    .load = load,
    .samples = kSamples,
    .stop = kStop,
    .max_tokens = 256,
    .judge = judge};

}  // namespace checkbit
