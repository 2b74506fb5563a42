// HellaSwag: which of four sentences goes on from a short scene. lm-evaluation-harness: hellaswag.
//
// Forms: JSONL as its authors publish it {"activity_label", "ctx_a", "ctx_b", "endings", "label"};
//   and text of six lines an item, as llama.cpp's tools take it: the context, the number of the
//   right ending from 0, four endings. The text form has been cleaned already and is used as it
//   stands; it does not tell where the second sentence begins, whose first letter the harness makes
//   a capital.
// Reference: R. Zellers et al., "HellaSwag: Can a Machine Really Finish Your Sentence?", 2019.

#include <algorithm>

#include "measure/tasks/json_records.h"
#include "report/text.h"
#include "run/jinja/unicode.h"

namespace checkbit {
namespace {

constexpr std::size_t kEndings = 4;

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t found = std::min(text.find(from, at), text.size());
    out += text.substr(at, found - at);
    if (found == text.size()) break;
    out += to;
    at = found + from.size();
  }
  return out;
}

/// "[header] Do this" loses its brackets: from each '[' to the next ']' of its line.
std::string without_brackets(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    std::string_view line = text.substr(at, end - at);
    at = end;
    while (!line.empty()) {
      const std::size_t open = std::min(line.find('['), line.size());
      const std::size_t close = line.find(']', open);
      const bool pair = close != std::string_view::npos;
      out += line.substr(0, pair ? open : line.size());
      line.remove_prefix(pair ? close + 1 : line.size());
    }
  }
  return out;
}

std::string cleaned(std::string_view text) {
  text.remove_suffix(jinja::trailing_space(text));
  text.remove_prefix(jinja::leading_space(text));
  return replace_all(without_brackets(replace_all(text, " [title]", ". ")), "  ", " ");
}

Result<TaskItem> make_item(const JsonRecord& record) {
  CB_TRY(const std::string activity, record.text("activity_label"));
  CB_TRY(const std::string first, record.text("ctx_a"));
  CB_TRY(const std::string second, record.text("ctx_b"));
  CB_TRY(const std::vector<std::string> endings, record.texts("endings"));
  TaskItem item;
  CB_TRY(item.right, record.index("label"));
  item.line = record.line();
  item.prompt = cleaned(activity + ": " + first + " " + jinja::capitalize(second));
  for (const std::string& ending : endings) item.choices.push_back(cleaned(ending));
  if (item.choices.size() < 2) return record.error("expected two endings or more");
  if (std::ranges::any_of(item.choices, &std::string::empty))
    return record.error("an ending is empty");
  if (item.right >= item.choices.size()) return record.error("\"label\" is none of the endings");
  return item;
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, end - at);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.emplace_back(line);
    at = end + 1;
  }
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

Result<TaskData> load_lines(const TaskInput& input) {
  const std::vector<std::string> lines = lines_of(input.text);
  constexpr std::size_t kLines = 2 + kEndings;
  TaskData data;
  for (std::size_t at = 0; at < lines.size(); at += kLines) {
    if (at + kLines > lines.size()) {
      return task_error(input.path, lines.size(),
                        "the file ends within an item: a context, the number of the right ending "
                        "and four endings are six lines");
    }
    const std::string& label = lines[at + 1];
    if (label.size() != 1 || label[0] < '0' || label[0] >= static_cast<char>('0' + kEndings))
      return task_error(input.path, at + 2, "expected the number of the right ending, 0 to 3");
    TaskItem item;
    item.line = at + 1;
    item.prompt = lines[at];
    item.right = static_cast<std::size_t>(label[0] - '0');
    for (std::size_t i = 0; i < kEndings; ++i) {
      if (lines[at + 2 + i].empty())
        return task_error(input.path, at + 3 + i, "an ending is empty");
      item.choices.push_back(lines[at + 2 + i]);
    }
    data.items.push_back(std::move(item));
  }
  return data;
}

Result<TaskData> load(const TaskInput& input) {
  const std::size_t begin = input.text.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos)
    return fail(ErrorKind::invalid, "{}: the file is empty", input.path);
  if (input.text[begin] == '{' || input.text[begin] == '[')
    return load_json_items(input, make_item);
  if (const auto bad = first_invalid_utf8(input.text)) {
    return fail(ErrorKind::invalid, "{}: not valid UTF-8 at byte {}; convert it to UTF-8 first",
                input.path, *bad);
  }
  return load_lines(input);
}

constexpr std::string_view kMeasures[] = {"accuracy", "accuracy_normalized"};
constexpr std::string_view kSamples[] = {
    R"({"activity_label": "Cooking", "ctx_a": "A man cuts [step] bread.", "ctx_b": "he", "endings": ["eats it.", "flies.", "sings.", "sinks."], "label": 0})",
    "Cooking: A man cuts bread. he\n0\neats it.\nflies.\nsings.\nsinks.\n"};

}  // namespace

extern const Task hellaswag_task;
constinit const Task hellaswag_task = {
    .name = "hellaswag",
    .title = "HellaSwag",
    .what = "which of four sentences goes on, the likelihood of each",
    .file_name = "hellaswag_val.jsonl",
    .data_source =
        "hellaswag_val.jsonl of its authors (R. Zellers et al.), or hellaswag_val_full.txt "
        "as llama.cpp uses it",
    .measures = kMeasures,
    .load = load,
    .samples = kSamples};

}  // namespace checkbit
