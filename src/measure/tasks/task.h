// A task as data: where its items come from, what a model is asked, what counts as right.
//
// What: each file of this folder defines one `Task`; tasks.def lists them. A task of endings gives
//   the model's likelihood of every choice after the prompt; a task of answers lets the model write
//   and judges the text. run_task.h runs either kind, so that a task is only a loader and, where
//   the model writes, a judge.
// Conventions: prompts, choices and extraction are lm-evaluation-harness's, so that figures can be
//   compared; each file says of which of its tasks.
// Errors: of load: invalid (file, line, what was expected there), never a crash on any bytes. Of
//   judge: what stands in the way of judging (no sandbox); a wrong answer is not an error.
// Threads: records are constant; load and judge are functions of their arguments.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace checkbit {

struct TaskItem {
  std::size_t line = 0;  ///< where it begins in its file, from 1
  std::string prompt;    ///< what the model reads, after the examples
  /// Tasks of endings: the choices, without the space that parts them from the prompt; else empty.
  std::vector<std::string> choices;
  std::size_t right = 0;  ///< index of the right choice
  std::string answer;     ///< tasks of answers: a right one in full, as an example would give it
  nlohmann::json fields;  ///< what else the judge needs
};

struct TaskData {
  std::vector<TaskItem> items;
  /// Stands before every prompt. A loader that leaves it empty gets examples made of the first
  /// items (with_examples).
  std::string preamble;
};

/// What a loader reads.
struct TaskInput {
  std::string path;  ///< for messages, and for files that lie beside it
  std::string text;  ///< the whole file
};

struct Verdict {
  std::string answer;  ///< what the model chose or what was taken from its text, for people
  bool right = false;
};

/// Constant-initialized (constinit), so that commands can list tasks before main.
struct Task {
  std::string_view name;         ///< "arc"
  std::string_view title;        ///< "ARC-Challenge"
  std::string_view what;         ///< one line: what is asked and how it is scored
  std::string_view file_name;    ///< in the data folder, where it is looked for without --data
  std::string_view data_source;  ///< which public file that is, and from whom
  /// One accuracy each, by record name: "accuracy", "accuracy_normalized". The verdicts of an item
  /// are in this order, and the first is the one flips are shown for.
  std::span<const std::string_view> measures;
  std::size_t examples = 0;  ///< shown before each prompt, unless --examples says otherwise

  /// Null bytes, deep nesting, any size: everything ends in items or in an error.
  Result<TaskData> (*load)(const TaskInput& input) = nullptr;
  /// One small valid file for each form that `load` takes; the contract test reads and breaks them.
  std::span<const std::string_view> samples;

  // Tasks of answers; tasks of endings leave `judge` null.
  std::span<const std::string_view> stop;  ///< an answer ends before any of these
  std::int64_t max_tokens = 0;
  /// A verdict for each measure; called from several threads at once.
  Result<std::vector<Verdict>> (*judge)(const TaskItem& item, const std::string& text) = nullptr;
  /// Can this machine judge at all? Asked before anything is generated; null: always.
  Status (*able)() = nullptr;
};

/// In the order of tasks.def.
const std::vector<const Task*>& all_tasks();
/// Null when unknown.
const Task* find_task(std::string_view name);

/// Takes the first `count` items out and puts them, answered, before every other prompt. Without
/// effect when the loader made a preamble itself. Errors: budget (fewer than count + 1 items).
Result<TaskData> with_examples(TaskData data, std::size_t count, const std::string& path);

/// $CHECKBIT_HOME/data/FILE (or as models_folder says). Errors: not_found, with what to fetch and
/// where to put it.
Result<std::string> default_data_path(const Task& task);

}  // namespace checkbit
