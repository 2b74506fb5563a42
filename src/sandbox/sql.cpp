#include "sandbox/sql.h"

#include <sqlite3.h>
#include <strings.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <memory>
#include <mutex>

#include "base/progress.h"

namespace checkbit {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kStepsBetweenLooks = 1000;
// Of all connections of this process: a query that sorts more than this fails.
constexpr std::int64_t kHeapBytes = 512LL << 20;

struct CloseDatabase {
  void operator()(sqlite3* database) const { sqlite3_close(database); }
};
struct Finalize {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Database = std::unique_ptr<sqlite3, CloseDatabase>;
using Statement = std::unique_ptr<sqlite3_stmt, Finalize>;

struct Limit {
  int id;
  int most;
};
constexpr std::array<Limit, 11> kLimits = {{
    {SQLITE_LIMIT_LENGTH, 1 << 20},
    {SQLITE_LIMIT_SQL_LENGTH, 16 << 10},
    {SQLITE_LIMIT_ATTACHED, 0},
    {SQLITE_LIMIT_COLUMN, 200},
    {SQLITE_LIMIT_EXPR_DEPTH, 200},
    {SQLITE_LIMIT_COMPOUND_SELECT, 50},
    {SQLITE_LIMIT_VDBE_OP, 100'000},
    {SQLITE_LIMIT_FUNCTION_ARG, 32},
    {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000},
    {SQLITE_LIMIT_TRIGGER_DEPTH, 1},
    {SQLITE_LIMIT_WORKER_THREADS, 0},
}};

// Functions of the shell and of extensions that reach files or code.
constexpr std::array kDeniedFunctions = {"load_extension", "readfile",       "writefile",
                                         "edit",           "fts3_tokenizer", "sqlite_log"};

int authorize(void*, int action, const char*, const char* name, const char*, const char*) {
  switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_RECURSIVE:
      return SQLITE_OK;
    case SQLITE_FUNCTION:
      for (const char* denied : kDeniedFunctions) {
        if (name == nullptr || strcasecmp(name, denied) == 0) return SQLITE_DENY;
      }
      return SQLITE_OK;
    default:
      return SQLITE_DENY;
  }
}

/// Looked at every thousand steps of the query.
struct Watch {
  Clock::time_point deadline;
  bool too_late = false;

  static int look(void* self) {
    auto* watch = static_cast<Watch*>(self);
    watch->too_late = watch->too_late || Clock::now() >= watch->deadline;
    return watch->too_late || cancel_requested() ? 1 : 0;
  }
};

/// The path in SQLite's URI form: what has a meaning there is written as %xx.
std::string immutable_uri(const std::string& path) {
  std::string uri = "file:";
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '%' || c == '?' || c == '#' || byte < 0x20 || byte >= 0x7f) {
      uri += fmt::format("%{:02x}", byte);
    } else {
      uri += c;
    }
  }
  return uri + "?mode=ro&immutable=1";
}

Result<Database> open_database(const std::string& path) {
  static std::once_flag once;
  std::call_once(once, [] { sqlite3_hard_heap_limit64(kHeapBytes); });
  std::error_code none;
  if (!std::filesystem::is_regular_file(path, none)) {
    return fail(ErrorKind::not_found, "{}: no such database file", path);
  }
  sqlite3* raw = nullptr;
  const std::string uri = immutable_uri(std::filesystem::absolute(path, none).string());
  const int code = sqlite3_open_v2(
      uri.c_str(), &raw, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, nullptr);
  Database database(raw);
  if (code != SQLITE_OK) {
    return fail(ErrorKind::io, "{}: cannot be opened ({})", path, sqlite3_errstr(code));
  }
  sqlite3_db_config(raw, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(raw, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(raw, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, nullptr);
  sqlite3_db_config(raw, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, nullptr);
  for (const Limit& limit : kLimits) sqlite3_limit(raw, limit.id, limit.most);
  // The first read tells whether this is a database at all. Temporary tables stay in memory.
  const int read = sqlite3_exec(raw,
                                "PRAGMA query_only=1; PRAGMA temp_store=MEMORY; PRAGMA "
                                "cell_size_check=1; SELECT count(*) FROM sqlite_schema",
                                nullptr, nullptr, nullptr);
  if (read != SQLITE_OK) {
    return fail(ErrorKind::corrupt, "{}: no SQLite database ({})", path, sqlite3_errmsg(raw));
  }
  sqlite3_set_authorizer(raw, authorize, nullptr);
  return database;
}

SqlValue read_value(sqlite3_stmt* statement, int column) {
  const auto bytes = [&](const void* data) {
    return std::string(static_cast<const char*>(data),
                       static_cast<std::size_t>(sqlite3_column_bytes(statement, column)));
  };
  switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
      return static_cast<std::int64_t>(sqlite3_column_int64(statement, column));
    case SQLITE_FLOAT:
      return sqlite3_column_double(statement, column);
    case SQLITE_TEXT:
      return bytes(sqlite3_column_text(statement, column));
    case SQLITE_BLOB: {
      const void* data = sqlite3_column_blob(statement, column);
      return SqlBlob{data == nullptr ? std::string() : bytes(data)};
    }
    default:
      return SqlNull{};
  }
}

std::uint64_t size_of(const SqlValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return text->size() + sizeof value;
  if (const auto* blob = std::get_if<SqlBlob>(&value)) return blob->bytes.size() + sizeof value;
  return sizeof value;
}

void fail_with(SqlOutcome& outcome, std::string why, bool limit_hit = false) {
  outcome.ok = false;
  outcome.error = std::move(why);
  outcome.limit_hit = limit_hit;
  outcome.rows.clear();
}

/// All rows of a prepared statement into the outcome.
void read_rows(sqlite3* database, sqlite3_stmt* statement, const SqlLimits& limits,
               const Watch& watch, SqlOutcome& outcome) {
  const int columns = sqlite3_column_count(statement);
  for (int i = 0; i < columns; ++i) {
    const char* name = sqlite3_column_name(statement, i);
    outcome.columns.emplace_back(name == nullptr ? "" : name);
  }
  std::uint64_t bytes = 0;
  int code = SQLITE_ROW;
  while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
    if (outcome.rows.size() >= limits.rows) {
      return fail_with(outcome, fmt::format("more than {} rows", limits.rows), true);
    }
    SqlRow row;
    for (int i = 0; i < columns; ++i) {
      row.push_back(read_value(statement, i));
      bytes += size_of(row.back());
    }
    if (bytes > limits.bytes) {
      return fail_with(outcome, fmt::format("more than {} bytes of rows", limits.bytes), true);
    }
    outcome.rows.push_back(std::move(row));
  }
  if (code == SQLITE_DONE) {
    outcome.ok = true;
  } else if (watch.too_late) {
    fail_with(outcome, fmt::format("longer than {} s", limits.seconds), true);
  } else {
    fail_with(outcome, sqlite3_errmsg(database), code == SQLITE_NOMEM);
  }
}

/// Is what follows the first statement only space, semicolons and comments?
bool nothing_follows(sqlite3* database, const char* tail) {
  while (tail != nullptr && *tail != '\0') {
    sqlite3_stmt* raw = nullptr;
    const char* next = nullptr;
    const int code = sqlite3_prepare_v2(database, tail, -1, &raw, &next);
    const Statement another(raw);
    if (code != SQLITE_OK || another != nullptr || next == tail) return false;
    tail = next;
  }
  return true;
}

SqlOutcome run_on(sqlite3* database, const std::string& query, const SqlLimits& limits) {
  SqlOutcome outcome;
  const auto start = Clock::now();
  Watch watch{start + std::chrono::duration_cast<Clock::duration>(
                          std::chrono::duration<double>(limits.seconds))};
  sqlite3_progress_handler(database, kStepsBetweenLooks, Watch::look, &watch);
  sqlite3_stmt* raw = nullptr;
  const char* tail = nullptr;
  const int code = sqlite3_prepare_v2(database, query.c_str(), -1, &raw, &tail);
  const Statement statement(raw);
  if (query.find('\0') != std::string::npos) {
    fail_with(outcome, "a zero byte in the query");
  } else if (code != SQLITE_OK) {
    fail_with(outcome, sqlite3_errmsg(database), code == SQLITE_TOOBIG || code == SQLITE_NOMEM);
  } else if (statement == nullptr) {
    fail_with(outcome, "an empty query");
  } else if (sqlite3_column_count(statement.get()) == 0 ||
             !sqlite3_stmt_readonly(statement.get()) || sqlite3_stmt_isexplain(statement.get())) {
    fail_with(outcome, "not a query that reads rows");
  } else if (!nothing_follows(database, tail)) {
    fail_with(outcome, "more than one statement");
  } else {
    read_rows(database, statement.get(), limits, watch, outcome);
  }
  sqlite3_progress_handler(database, 0, nullptr, nullptr);
  outcome.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return outcome;
}

}  // namespace

Result<SqlOutcome> run_query(const std::string& database_path, const std::string& query,
                             const SqlLimits& limits) {
  CB_TRY(const Database database, open_database(database_path));
  SqlOutcome outcome = run_on(database.get(), query, limits);
  if (cancel_requested()) return cancelled_error();
  return outcome;
}

Result<std::string> read_schema(const std::string& database_path) {
  CB_TRY(const SqlOutcome outcome,
         run_query(database_path,
                   "SELECT sql FROM sqlite_schema WHERE type IN ('table', 'view') AND sql IS NOT "
                   "NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"));
  if (!outcome.ok) {
    return fail(ErrorKind::corrupt, "{}: its schema cannot be read ({})", database_path,
                outcome.error);
  }
  std::string text;
  for (const SqlRow& row : outcome.rows) text += std::get<std::string>(row[0]) + ";\n";
  return text;
}

std::string to_string(const SqlValue& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return std::to_string(*integer);
  if (const auto* real = std::get_if<double>(&value)) return fmt::format("{}", *real);
  if (const auto* text = std::get_if<std::string>(&value)) {
    std::string quoted = "'";
    for (const char c : *text) quoted += c == '\'' ? "''" : std::string(1, c);
    return quoted + "'";
  }
  if (const auto* blob = std::get_if<SqlBlob>(&value)) {
    std::string hex = "x'";
    for (const char c : blob->bytes) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
    return hex + "'";
  }
  return "NULL";
}

}  // namespace checkbit
