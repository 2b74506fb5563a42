#include "measure/tasks/run_task.h"

#include <algorithm>
#include <chrono>

#include "measure/tasks/judge_queue.h"
#include "report/text.h"
#include "run/jinja/unicode.h"
#include "score/estimate_record.h"
#include "score/statistics.h"

namespace checkbit {
namespace {

/// The first of the largest, as numpy's argmax.
std::size_t first_largest(const std::vector<double>& values) {
  return static_cast<std::size_t>(std::ranges::max_element(values) - values.begin());
}

/// By likelihood, then by likelihood over the characters of the choice: the harness's acc and
/// acc_norm.
std::vector<Verdict> judge_choices(const TaskItem& item, std::span<const EndingScore> scores) {
  std::vector<double> plain;
  std::vector<double> normalized;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    plain.push_back(scores[i].log_probability);
    normalized.push_back(scores[i].log_probability /
                         static_cast<double>(jinja::count_code_points(item.choices[i])));
  }
  std::vector<Verdict> verdicts;
  for (const auto& values : {plain, normalized}) {
    const std::size_t chosen = first_largest(values);
    verdicts.push_back({item.choices[chosen], chosen == item.right});
  }
  return verdicts;
}

Status score_items(Session& session, const TaskData& data, std::span<const TaskItem> items,
                   const TaskOptions& options, TaskResult& result) {
  std::vector<EndingRequest> requests;
  for (const TaskItem& item : items) {
    requests.push_back({data.preamble + item.prompt, {}});
    for (const std::string& choice : item.choices) requests.back().endings.push_back(" " + choice);
  }
  return score_endings(session, requests, options.endings,
                       [&](std::size_t request, std::span<const EndingScore> scores) -> Status {
                         result.items[request] = {judge_choices(items[request], scores),
                                                  {scores.begin(), scores.end()},
                                                  ""};
                         return {};
                       });
}

std::int64_t answer_tokens(const Task& task, const TaskOptions& options) {
  return options.max_tokens > 0 ? options.max_tokens : task.max_tokens;
}

std::span<const TaskItem> asked_items(const TaskData& data, const TaskOptions& options) {
  const std::size_t all = data.items.size();
  return std::span(data.items).first(options.limit > 0 ? std::min(options.limit, all) : all);
}

Status answer_items(Session& session, const TaskData& data, std::span<const TaskItem> items,
                    const TaskOptions& options, TaskResult& result) {
  const Task& task = *result.task;
  GenerateOptions generate;
  generate.max_tokens = answer_tokens(task, options);
  generate.stop.assign(task.stop.begin(), task.stop.end());
  generate.sampler.temperature = 0;
  std::vector<BatchRequest> requests;
  for (const TaskItem& item : items)
    requests.push_back({session.tokenizer().encode(data.preamble + item.prompt), generate, {}});
  std::vector<std::vector<Verdict>> verdicts(items.size());
  JudgeQueue judges(task, items, verdicts);
  const auto hand_over = [&](std::size_t number, const Generation& generation) -> Status {
    result.items[number].text = generation.text;
    result.generated_tokens += generation.tokens.size();
    return judges.add(number, generation.text);
  };
  CB_TRY_STATUS(
      generate_batch(session, std::move(requests), options.batch, hand_over, options.label));
  CB_TRY_STATUS(judges.finish());
  for (std::size_t i = 0; i < items.size(); ++i) result.items[i].verdicts = std::move(verdicts[i]);
  return {};
}

}  // namespace

std::size_t TaskResult::right(std::size_t measure) const {
  return static_cast<std::size_t>(std::ranges::count_if(
      items, [&](const ItemResult& item) { return item.verdicts[measure].right; }));
}

SessionOptions task_session_options(SessionOptions options) {
  options.max_logits = kEndingLogits;
  return options;
}

std::int64_t context_needed(const Tokenizer& tokenizer, const Task& task, const TaskData& data,
                            const TaskOptions& options) {
  if (task.judge == nullptr) return 0;
  std::size_t longest = 0;
  for (const TaskItem& item : asked_items(data, options))
    longest = std::max(longest, tokenizer.encode(data.preamble + item.prompt).size());
  return static_cast<std::int64_t>(longest) + answer_tokens(task, options);
}

Result<TaskResult> run_task(Session& session, const Task& task, const TaskData& data,
                            const TaskOptions& options) {
  if (task.able != nullptr) CB_TRY_STATUS(task.able());
  const auto start = std::chrono::steady_clock::now();
  const std::span<const TaskItem> items = asked_items(data, options);
  TaskResult result{.task = &task, .items = std::vector<ItemResult>(items.size())};
  CB_TRY_STATUS(task.judge == nullptr ? score_items(session, data, items, options, result)
                                      : answer_items(session, data, items, options, result));
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

double chance_level(const TaskData& data, std::size_t items) {
  double sum = 0;
  for (const TaskItem& item : std::span(data.items).first(items))
    sum += item.choices.empty() ? 0 : 1.0 / static_cast<double>(item.choices.size());
  return items > 0 ? sum / static_cast<double>(items) : 0;
}

std::vector<Record> to_records(const TaskResult& result, const std::string& command) {
  std::vector<Record> records;
  const std::size_t count = result.items.size();
  for (std::size_t m = 0; m < result.task->measures.size(); ++m) {
    records.push_back(
        share_of(std::string(result.task->measures[m]), result.right(m), count, command));
  }
  records.push_back(
      {.name = "items", .value = static_cast<double>(count), .unit = "items", .command = command});
  records.push_back({.name = "items_per_second",
                     .value = static_cast<double>(count) / result.seconds,
                     .unit = "items/s",
                     .command = command});
  return records;
}

nlohmann::ordered_json items_json(const TaskResult& result, const TaskData& data) {
  nlohmann::ordered_json items = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < result.items.size(); ++i) {
    const ItemResult& item = result.items[i];
    const TaskItem& asked = data.items[i];
    nlohmann::ordered_json one = {{"line", asked.line}, {"prompt", asked.prompt}};
    for (std::size_t m = 0; m < result.task->measures.size(); ++m) {
      one[std::string(result.task->measures[m])] = {
          {"right", item.verdicts[m].right}, {"answer", valid_utf8(item.verdicts[m].answer)}};
    }
    for (std::size_t c = 0; c < item.scores.size(); ++c) {
      one["choices"].push_back({{"text", asked.choices[c]},
                                {"log_probability", item.scores[c].log_probability},
                                {"tokens", item.scores[c].tokens},
                                {"greedy", item.scores[c].greedy}});
    }
    if (asked.choices.empty()) {
      one["right"] = asked.answer;
    } else {
      one["right"] = asked.right;
    }
    if (!item.text.empty()) one["text"] = valid_utf8(item.text);
    items.push_back(std::move(one));
  }
  return items;
}

}  // namespace checkbit
