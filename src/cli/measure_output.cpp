#include "cli/measure_output.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>

#include "cli/comparison_facts.h"
#include "cli/engine_flags.h"
#include "measure/report.h"
#include "measure/saved_run.h"
#include "report/render.h"
#include "report/text.h"

namespace checkbit {
namespace {

/// Names of files, apart where they are alike.
std::string distinct_name(const ComparisonStory& story, const std::string& name) {
  const auto taken = [&](const std::string& wanted) {
    return std::ranges::any_of(story.candidates, [&](const CandidateStory& candidate) {
      return candidate.facts.name == wanted;
    });
  };
  std::string distinct = name;
  for (int number = 2; taken(distinct); ++number) distinct = fmt::format("{} ({})", name, number);
  return distinct;
}

/// A report's table on a terminal.
std::string in_columns(const Table& table, const Terminal& terminal) {
  TextTable columns{.header = table.columns, .right = {}, .rows = table.rows};
  for (std::size_t i = 0; i < table.columns.size(); ++i) columns.right.push_back(i > 0);
  for (auto& row : columns.rows) {
    for (auto& cell : row) cell = clean_line(cell);
  }
  return columns.render(terminal, 0);
}

}  // namespace

ComparisonStory make_story(const MeasureInputs& inputs, ComparisonResult result,
                           const Console& console) {
  ComparisonStory story;
  for (std::size_t i = 0; i < inputs.models.size(); ++i) {
    CandidateStory candidate{.facts = facts_of(inputs.models[i]),
                             .result = std::move(result.candidates[i]),
                             .examples = {},
                             .command = console.command_line};
    candidate.facts.name = distinct_name(story, candidate.facts.name);
    if (candidate.result.divergence) {
      candidate.examples =
          in_text(candidate.result.divergence->examples, inputs.models[i].tokenizer());
    }
    story.candidates.push_back(std::move(candidate));
  }
  for (const BrokenModel& broken : inputs.broken) {
    CandidateStory candidate;
    candidate.facts.name = distinct_name(story, broken.name);
    candidate.result.name = broken.name;
    candidate.result.broken = broken.message;
    candidate.command = console.command_line;
    story.candidates.push_back(std::move(candidate));
  }
  if (inputs.reference) story.reference = facts_of(*inputs.reference);
  story.run = std::move(result);
  story.text_name = inputs.text_name;
  story.environment = describe_environment();
  return story;
}

std::vector<Record> records_of(const ComparisonStory& story, const MeasureInputs& inputs,
                               const Console& console) {
  const bool several = story.candidates.size() > 1;
  std::vector<Record> records;
  const auto add = [&](Record record, const std::string& subject) {
    record.subject = subject;
    records.push_back(std::move(record));
  };
  for (std::size_t i = 0; i < inputs.models.size(); ++i) {
    const CandidateStory& candidate = story.candidates[i];
    const std::string subject = several ? candidate.facts.name : "";
    for (Record& record : to_records(candidate.result, console.command_line)) {
      add(std::move(record), subject);
    }
    for (Record& record : session_records(console, inputs.models[i])) {
      const bool of_process = record.name == "peak_bytes";
      if (!of_process || i == 0) add(std::move(record), of_process ? "" : subject);
    }
  }
  const std::size_t models = inputs.models.size() + (story.reference ? 1 : 0);
  for (Record& record : run_records(story.run, models, console.command_line)) {
    add(std::move(record), "");
  }
  return records;
}

void print_measurement_json(const ComparisonStory& story, std::span<const Record> records,
                            const MeasureInputs& inputs, Console& console) {
  const nlohmann::ordered_json extra = {{"model", valid_utf8(story.candidates.front().facts.name)},
                                        {"kv_cache", to_string(inputs.models.front().cache_type())},
                                        {"text", valid_utf8(story.text_name)},
                                        {"measurement", saved_measurement(story)}};
  console.out << render_json(records, story.environment, extra);
}

void print_measurement(const ComparisonStory& story, std::span<const Record> records,
                       Console& console) {
  const Terminal& terminal = console.out_terminal;
  const TableOptions options{.width = static_cast<std::size_t>(terminal.width),
                             .colour = terminal.colour};
  const auto paragraph = [&](const std::string& words) {
    if (!words.empty()) console.out << wrap(clean_line(words), terminal.width, 0) << "\n";
  };
  paragraph(describe_change(story));
  paragraph(describe_early_stop(story.run));
  if (story.candidates.size() == 1) {
    console.out << render_table(records, options);
    return;
  }
  console.out << in_columns(candidate_table(story), terminal) << "\n";
  if (const Table pairs = paired_table(story); !pairs.rows.empty()) {
    paragraph(pairs.caption);
    console.out << in_columns(pairs, terminal) << "\n";
  }
  std::vector<Record> shared;
  std::ranges::copy_if(records, std::back_inserter(shared),
                       [](const Record& record) { return record.subject.empty(); });
  console.out << render_table(shared, options);
}

}  // namespace checkbit
