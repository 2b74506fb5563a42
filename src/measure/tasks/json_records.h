// The items of a JSON file, each with its line: one object a line (JSONL), or one array of objects;
// packed with gzip or not.
//
// What: cuts the text into objects by brackets and quotes, so that every item, and every error in
//   it, has a line; then parses each alone.
// Errors: invalid: "FILE:LINE: ..." with what was expected; not UTF-8; nothing in the file; nested
//   deeper than 64 levels.
// Threads: values.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "measure/tasks/task.h"

namespace checkbit {

/// One object of the file, and typed looks into it that name the file and line where they fail.
class JsonRecord {
 public:
  JsonRecord(std::string path, std::size_t line, nlohmann::json value)
      : path_(std::move(path)), line_(line), value_(std::move(value)) {}

  std::size_t line() const { return line_; }
  const nlohmann::json& value() const { return value_; }
  bool has(std::string_view field) const { return value_.contains(field); }
  /// The object in a field.
  Result<JsonRecord> inner(std::string_view field) const;
  Result<std::string> text(std::string_view field) const;
  Result<std::vector<std::string>> texts(std::string_view field) const;
  /// The objects in an array.
  Result<std::vector<JsonRecord>> inners(std::string_view field) const;
  /// A whole number from 0, also written as text ("3").
  Result<std::size_t> index(std::string_view field) const;
  /// "FILE:LINE: what".
  Error error(std::string_view what) const;

 private:
  Result<nlohmann::json> get(std::string_view field) const;

  std::string path_;
  std::size_t line_;
  nlohmann::json value_;
};

Result<std::vector<JsonRecord>> read_json_records(const TaskInput& input);

/// One item of each record.
Result<TaskData> load_json_items(const TaskInput& input,
                                 Result<TaskItem> (*make_item)(const JsonRecord& record));

/// "FILE:LINE: what".
Error task_error(const std::string& path, std::size_t line, std::string_view what);

}  // namespace checkbit
