// The page and the sentence of `checkbit task`.
//
// What: builds a `Report` (report/html.h): accuracy with intervals beside guessing, flips with
// their
//   test, every flipped item side by side, all figures, the command.
// Threads: pure functions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "measure/flips.h"
#include "report/html.h"

namespace checkbit {

/// What an interpolation of the two models scored.
struct BlendResult {
  double share_of_reference = 0;  ///< 1: the reference itself
  TaskResult result;
  std::vector<Flips> flips;  ///< against the reference
};

struct TaskStory {
  const Task* task = nullptr;
  const TaskData* data = nullptr;
  std::string model_name;
  TaskResult model;
  std::string reference_name;  ///< empty: none
  std::optional<TaskResult> reference;
  std::vector<Flips> flips;  ///< empty without reference
  std::vector<BlendResult> blends;
  std::string command;
  Environment environment;
};

/// Of the model, then of the flips.
std::vector<Record> task_records(const TaskStory& story);
/// One or two sentences: how many are right, what flipped and whether that is more than chance.
std::string describe_task(const TaskStory& story);
/// Accuracy and flips of each interpolation, as a table for people.
Table blend_table(const TaskStory& story);
/// What both models did with an item: its prompt, their answers, the right one.
Quotes flipped_item(const TaskStory& story, std::size_t item);

Report build_task_report(const TaskStory& story);

}  // namespace checkbit
