// ARC: multiple-choice questions of science at school. lm-evaluation-harness: arc_challenge.
//
// Forms: the set as its authors publish it, JSONL with {"question": {"stem", "choices": [{"label",
//   "text"}]}, "answerKey"}; the same with {"question", "choices": {"text": [], "label": []},
//   "answerKey"}; and the instruction form {"instruction": "... question: Q\n\nAnswer1: ...
//   Answer2:
//   ...\n\nAnswer format: answer1/answer2...", "answer": "answer2"}, a JSON array.
// Reference: P. Clark et al., "Think you have Solved Question Answering?", 2018.

#include <algorithm>
#include <optional>

#include "measure/tasks/json_records.h"

namespace checkbit {
namespace {

constexpr std::string_view kInstruction = "correct answer to the question: ";
constexpr std::string_view kFormat = "\n\nAnswer format: ";

struct Question {
  std::string stem;
  std::vector<std::string> choices;
  std::vector<std::string> labels;
  std::string key;
};

/// Where "Answer3: " begins, at or after `from`.
std::size_t find_answer(std::string_view text, std::size_t number, std::size_t from) {
  return text.find("Answer" + std::to_string(number) + ": ", from);
}

Result<Question> read_instruction(const JsonRecord& record) {
  CB_TRY(const std::string text, record.text("instruction"));
  Question question;
  CB_TRY(question.key, record.text("answer"));
  const std::size_t start = text.find(kInstruction);
  const std::size_t end = text.rfind(kFormat);
  const std::size_t first = text.rfind("\n\nAnswer1: ", end);
  if (start == std::string::npos || end == std::string::npos || first == std::string::npos ||
      first < start) {
    return record.error(
        R"("instruction" is not "... question: Q\n\nAnswer1: ... Answer2: ...\n\nAnswer format: ...")");
  }
  const std::size_t stem = start + kInstruction.size();
  question.stem = text.substr(stem, first - stem);
  std::size_t at = first + 2;
  for (std::size_t number = 1; at < end; ++number) {
    const std::size_t begin = text.find(": ", at) + 2;
    const std::size_t next = std::min(find_answer(text, number + 1, begin), end);
    const std::size_t stop = next < end ? next - 1 : next;  // one space before each but the first
    question.choices.push_back(text.substr(begin, stop > begin ? stop - begin : 0));
    question.labels.push_back("answer" + std::to_string(number));
    at = next;
  }
  return question;
}

Result<Question> read_published(const JsonRecord& record) {
  Question question;
  CB_TRY(question.key, record.text("answerKey"));
  if (record.value().contains("choices")) {
    CB_TRY(question.stem, record.text("question"));
    CB_TRY(const JsonRecord choices, record.inner("choices"));
    CB_TRY(question.choices, choices.texts("text"));
    CB_TRY(question.labels, choices.texts("label"));
    return question;
  }
  CB_TRY(const JsonRecord inner, record.inner("question"));
  CB_TRY(question.stem, inner.text("stem"));
  CB_TRY(const std::vector<JsonRecord> choices, inner.inners("choices"));
  for (const JsonRecord& choice : choices) {
    CB_TRY(std::string text, choice.text("text"));
    CB_TRY(std::string label, choice.text("label"));
    question.choices.push_back(std::move(text));
    question.labels.push_back(std::move(label));
  }
  return question;
}

Result<TaskItem> make_item(const JsonRecord& record) {
  CB_TRY(Question question,
         record.has("instruction") ? read_instruction(record) : read_published(record));
  if (question.choices.size() < 2 || question.choices.size() != question.labels.size())
    return record.error("expected two choices or more, each with its label");
  const auto right = std::ranges::find(question.labels, question.key);
  if (right == question.labels.end())
    return record.error("the answer \"" + question.key + "\" is none of the choices");
  if (std::ranges::any_of(question.choices, &std::string::empty))
    return record.error("a choice is empty");
  TaskItem item;
  item.line = record.line();
  item.prompt = "Question: " + question.stem + "\nAnswer:";
  item.right = static_cast<std::size_t>(right - question.labels.begin());
  item.choices = std::move(question.choices);
  return item;
}

Result<TaskData> load(const TaskInput& input) { return load_json_items(input, make_item); }

constexpr std::string_view kMeasures[] = {"accuracy", "accuracy_normalized"};
constexpr std::string_view kSamples[] = {
    R"([{"instruction": "Please choose the correct answer to the question: What is wet?\n\nAnswer1: sand Answer2: rain Answer3: iron\n\nAnswer format: answer1/answer2/answer3", "answer": "answer2"}])",
    R"({"id": "1", "question": {"stem": "What is wet?", "choices": [{"text": "sand", "label": "A"}, {"text": "rain", "label": "B"}]}, "answerKey": "B"})",
    R"({"id": "1", "question": "What is wet?", "choices": {"text": ["sand", "rain"], "label": ["1", "2"]}, "answerKey": "2"})"};

}  // namespace

extern const Task arc_task;
constinit const Task arc_task = {
    .name = "arc",
    .title = "ARC",
    .what = "science questions from school, the likelihood of each answer",
    .file_name = "arc_challenge.jsonl",
    .data_source =
        "ARC-Challenge of the Allen Institute for AI, ARC-Challenge-Test.jsonl or "
        "another of its splits",
    .measures = kMeasures,
    .load = load,
    .samples = kSamples};

}  // namespace checkbit
