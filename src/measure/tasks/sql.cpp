// SQL: questions about a database, answered by a query that must give the same rows as the right
// one (execution match). No task of lm-evaluation-harness: the prompt shows each table as it was
// made, with its first three rows in a comment, then the question in a comment, then SELECT.
//
// Form: JSON of text2sql-data, [{"sentences": [{"text", "variables", "question-split"}], "sql":
//   ["SELECT ..."]}], with the database beside it: geography_dev.json goes with geography.sqlite.
//   Questions of the split "train" are not asked. Each query's first question comes before any
//   query's second, so that a part of the file has all kinds of queries.
// Left out: questions whose right query SQLite refuses (4 of 686 in geography).
// Reference: C. Finegan-Dollak et al., "Improving Text-to-SQL Evaluation Methodology", 2018; the
//   prompt's form: N. Rajkumar et al., "Evaluating the Text-to-SQL Capabilities of Large Language
//   Models", 2022.

#include <algorithm>
#include <filesystem>

#include "measure/tasks/json_records.h"
#include "sandbox/result_match.h"
#include "sandbox/sql.h"

namespace checkbit {
namespace {

constexpr std::size_t kShownRows = 3;
constexpr std::size_t kAnswerRows = 3;

/// geography_dev.json -> geography.sqlite, or geography_dev.sqlite where that is there.
std::string database_beside(const std::string& path) {
  const std::filesystem::path file(path);
  const std::string stem = file.stem().string();
  std::error_code none;
  const auto beside = [&](const std::string& name) {
    return (file.parent_path() / (name + ".sqlite")).string();
  };
  if (std::filesystem::exists(beside(stem), none)) return beside(stem);
  return beside(stem.substr(0, stem.rfind('_')));
}

/// The database as a model is shown it.
Result<std::string> describe_database(const std::string& database) {
  CB_TRY(const SqlOutcome tables,
         run_query(database,
                   "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND sql IS NOT NULL "
                   "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"));
  std::string text;
  for (const SqlRow& table : tables.rows) {
    const std::string& name = std::get<std::string>(table[0]);
    std::string quoted;
    for (const char c : name) quoted += c == '"' ? "\"\"" : std::string(1, c);
    CB_TRY(const SqlOutcome rows,
           run_query(database, fmt::format("SELECT * FROM \"{}\" LIMIT {}", quoted, kShownRows)));
    text += std::get<std::string>(table[1]) + ";\n/*\n";
    for (const SqlRow& row : rows.rows) {
      for (std::size_t i = 0; i < row.size(); ++i) text += (i > 0 ? ", " : "") + to_string(row[i]);
      text += "\n";
    }
    text += "*/\n\n";
  }
  return text + "-- Answer each question with one SQLite query on the tables above.\n\n";
}

/// "state_name0" and its like, everywhere, by the sentence's own values. Longer names first: one
/// may begin another.
Result<std::string> with_values(const JsonRecord& sentence, std::string text) {
  CB_TRY(const JsonRecord variables, sentence.inner("variables"));
  std::vector<std::string> names;
  for (const auto& [name, value] : variables.value().items()) names.push_back(name);
  std::ranges::sort(names, [](const auto& a, const auto& b) { return a.size() > b.size(); });
  for (const std::string& name : names) {
    CB_TRY(const std::string value, variables.text(name));
    if (name.empty()) return sentence.error("a variable without a name");
    for (std::size_t at = 0; (at = text.find(name, at)) != std::string::npos; at += value.size()) {
      text.replace(at, name.size(), value);
    }
  }
  return text;
}

/// What ends a comment is no part of a question.
std::string one_line(std::string text) {
  std::ranges::replace_if(
      text, [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return text;
}

/// The questions of one query, in order; none when the right query does not run.
Result<std::vector<TaskItem>> read_questions(const JsonRecord& record,
                                             const std::string& database) {
  CB_TRY(const std::vector<std::string> queries, record.texts("sql"));
  CB_TRY(const std::vector<JsonRecord> sentences, record.inners("sentences"));
  if (queries.empty()) return record.error("\"sql\" is empty");
  std::vector<TaskItem> items;
  for (const JsonRecord& sentence : sentences) {
    if (sentence.has("question-split")) {
      CB_TRY(const std::string split, sentence.text("question-split"));
      if (split == "train") continue;
    }
    TaskItem item;
    CB_TRY(const std::string text, sentence.text("text"));
    CB_TRY(const std::string question, with_values(sentence, text));
    CB_TRY(const std::string query, with_values(sentence, queries[0]));
    CB_TRY(const SqlOutcome right, run_query(database, query));
    if (!right.ok) continue;
    item.line = record.line();
    item.prompt = "-- " + one_line(question) + "\nSELECT";
    item.answer = query.starts_with("SELECT ") ? query.substr(7) : query;
    item.fields = {{"database", database}, {"query", query}};
    items.push_back(std::move(item));
  }
  return items;
}

Result<TaskData> load(const TaskInput& input) {
  CB_TRY(const std::vector<JsonRecord> records, read_json_records(input));
  const std::string database = database_beside(input.path);
  TaskData data;
  CB_TRY(data.preamble, describe_database(database));
  std::vector<std::vector<TaskItem>> of_query;
  std::size_t rounds = 0;
  for (const JsonRecord& record : records) {
    CB_TRY(std::vector<TaskItem> items, read_questions(record, database));
    rounds = std::max(rounds, items.size());
    of_query.push_back(std::move(items));
  }
  for (std::size_t round = 0; round < rounds; ++round) {
    for (std::vector<TaskItem>& items : of_query) {
      if (round < items.size()) data.items.push_back(std::move(items[round]));
    }
  }
  if (data.items.empty()) {
    return task_error(input.path, 1, "no question outside \"train\" with a query that runs");
  }
  return data;
}

/// The first rows, for people.
std::string shown(const SqlOutcome& outcome) {
  if (!outcome.ok) return outcome.error;
  std::string text =
      fmt::format("{} row{}:", outcome.rows.size(), outcome.rows.size() == 1 ? "" : "s");
  for (std::size_t i = 0; i < std::min(outcome.rows.size(), kAnswerRows); ++i) {
    text += i > 0 ? "; " : " ";
    for (std::size_t j = 0; j < outcome.rows[i].size(); ++j) {
      text += (j > 0 ? ", " : "") + to_string(outcome.rows[i][j]);
    }
  }
  return text;
}

Result<std::vector<Verdict>> judge(const TaskItem& item, const std::string& text) {
  const std::string database = item.fields["database"].get<std::string>();
  const std::string query = item.fields["query"].get<std::string>();
  CB_TRY(const SqlOutcome gold, run_query(database, query));
  CB_TRY(const SqlOutcome answer, run_query(database, "SELECT " + text));
  return std::vector<Verdict>{{shown(answer), execution_match(answer, gold, query)}};
}

constexpr std::string_view kMeasures[] = {"accuracy"};
constexpr std::string_view kStop[] = {";", "\n\n", "--"};
constexpr std::string_view kSamples[] = {
    R"([{"sentences": [{"text": "how many towns are in land0", "variables": {"land0": "hesse"}, "question-split": "test"}], "sql": ["SELECT COUNT(*) FROM town WHERE land = 'land0' ;"]}])"};

}  // namespace

extern const Task sql_task;
constinit const Task sql_task = {
    .name = "sql",
    .title = "Text to SQL",
    .what = "questions about a database, the rows of the query compared with the right ones",
    .file_name = "geography_dev.json",
    .data_source =
        "geography.json of text2sql-data (C. Finegan-Dollak et al.), with geography.sqlite beside "
        "it",
    .measures = kMeasures,
    .load = load,
    .samples = kSamples,
    .stop = kStop,
    .max_tokens = 200,
    .judge = judge};

}  // namespace checkbit
