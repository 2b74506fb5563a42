// One query on a SQLite database that it cannot change, in this process and within limits.
//
// What: `run_query` opens a database read-only and immutable and runs one SELECT. An authorizer
//   allows reading, selecting, functions and recursion, and nothing else: no writing, no other
//   databases, no settings, no extensions, no files. Time, rows, bytes, length of query and of
//   value are limited. `read_schema` gives what a model is told about the database.
// Errors: not_found, io, corrupt (the database; the message names it). What is wrong with the query
//   is in the outcome: a query is data.
// Threads: any number at once; each call has its own connection.
// Reference: sqlite3_set_authorizer, "Defense Against The Dark Arts" (sqlite.org/security.html).
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"

namespace checkbit {

struct SqlNull {
  bool operator==(const SqlNull&) const = default;
};
struct SqlBlob {
  std::string bytes;
  bool operator==(const SqlBlob&) const = default;
};
using SqlValue = std::variant<SqlNull, std::int64_t, double, std::string, SqlBlob>;
using SqlRow = std::vector<SqlValue>;

struct SqlLimits {
  double seconds = 5;
  std::uint64_t rows = 100'000;
  std::uint64_t bytes = 16ULL << 20;  ///< of all rows
};

struct SqlOutcome {
  bool ok = false;
  std::string error;  ///< when not ok: SQLite's words, or which limit was reached
  bool limit_hit = false;
  std::vector<std::string> columns;
  std::vector<SqlRow> rows;
  double seconds = 0;
};

Result<SqlOutcome> run_query(const std::string& database_path, const std::string& query,
                             const SqlLimits& limits = {});

/// The statements that made tables and views, in order of their names, one a line.
Result<std::string> read_schema(const std::string& database_path);

/// "NULL", 12, 0.5, 'text', x'00ff': as SQL writes it.
std::string to_string(const SqlValue& value);

}  // namespace checkbit
