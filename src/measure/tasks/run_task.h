// Runs a task on a model and keeps what it did with every item.
//
// What: tasks of endings go through score/endings.h, tasks of answers through
//   run/generate_batch.h (greedy); verdicts, figures and what two models did differently follow.
// Errors: of the task's judge and of the session; cancelled. Nothing partial is returned.
// Threads: one run uses its session alone.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "measure/tasks/task.h"
#include "report/record.h"
#include "run/generate_batch.h"
#include "run/session.h"
#include "score/endings.h"

namespace checkbit {

struct TaskOptions {
  std::size_t limit = 0;         ///< only the first so many items; 0: all
  std::int64_t max_tokens = 0;   ///< of an answer; 0: as the task says
  std::string label = "asking";  ///< of the progress
  GenerateBatchOptions batch;
  EndingOptions endings;  ///< its label is not used
};

/// What a model did with one item.
struct ItemResult {
  std::vector<Verdict> verdicts;    ///< one for each measure of the task
  std::vector<EndingScore> scores;  ///< of the choices; empty for tasks of answers
  std::string text;                 ///< what the model wrote; empty for tasks of endings
};

struct TaskResult {
  const Task* task = nullptr;
  std::vector<ItemResult> items;  ///< in the order of TaskData::items, limit applied
  double seconds = 0;
  std::uint64_t generated_tokens = 0;
  std::size_t right(std::size_t measure) const;
};

/// Tokens that the longest prompt and its answer take; 0 for tasks of endings, which drop the front
/// of what is too long, as the harness does.
std::int64_t context_needed(const Tokenizer& tokenizer, const Task& task, const TaskData& data,
                            const TaskOptions& options);

/// Session options that suit tasks: rows of logits enough for both kinds.
SessionOptions task_session_options(SessionOptions options);

Result<TaskResult> run_task(Session& session, const Task& task, const TaskData& data,
                            const TaskOptions& options = {});

/// What guessing would score: the mean of 1 / choices; 0 for tasks of answers.
double chance_level(const TaskData& data, std::size_t items);

/// The task's measures with Wilson intervals, then `items` and `items_per_second`.
std::vector<Record> to_records(const TaskResult& result, const std::string& command);

/// Every item: line, prompt, verdicts, the right choice or answer, and scores or text.
nlohmann::ordered_json items_json(const TaskResult& result, const TaskData& data);

}  // namespace checkbit
