// SQLite with our errors: statements with bound values, transactions that cannot be forgotten.
//
// What: `Database` opens a file (made when it is missing), `Statement` binds, steps and reads.
//   Another process that writes at the same time is waited for (kBusyMilliseconds).
// Errors: io (cannot open, disk full, read only), corrupt (not a database, damaged), budget (still
//   busy after the wait). Messages name the file. A failed transaction leaves nothing behind.
// Threads: one thread per Database.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace checkbit {

inline constexpr int kBusyMilliseconds = 20000;

class Statement {
 public:
  Statement(Statement&& other) noexcept;
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement();

  /// Binds the next parameter, from left to right.
  Statement& bind(std::string_view text);
  Statement& bind(double value);
  Statement& bind(std::int64_t value);
  /// Whether there is a row. After false or an error the statement is done.
  Result<bool> step();
  /// For statements without rows.
  Status run();

  std::int64_t integer(int column) const;
  double number(int column) const;
  std::string text(int column) const;

 private:
  friend class Database;
  Statement(sqlite3_stmt* handle, std::string path) : handle_(handle), path_(std::move(path)) {}
  sqlite3_stmt* handle_;
  std::string path_;
  int bound_ = 0;
};

class Database {
 public:
  static Result<Database> open(const std::string& path);

  Result<Statement> prepare(std::string_view sql);
  /// One or several statements without parameters and rows.
  Status run(const std::string& sql);
  /// Makes what is missing of `tables` (CREATE TABLE IF NOT EXISTS ...) and notes the version.
  /// Errors: unsupported for a file of a later version.
  Status prepare_tables(const std::string& tables, std::int64_t version);
  std::int64_t last_row_id() const;
  const std::string& path() const { return path_; }

 private:
  struct Close {
    void operator()(sqlite3* handle) const;
  };
  Database(sqlite3* handle, std::string path) : handle_(handle), path_(std::move(path)) {}
  std::unique_ptr<sqlite3, Close> handle_;
  std::string path_;
};

/// Writes are seen by others at commit(), all or none. The destructor rolls back what was not
/// committed.
class Transaction {
 public:
  /// Nobody else can write while it lives.
  static Result<Transaction> begin(Database& database);
  /// Only reads: all of them see one state.
  static Result<Transaction> begin_reading(Database& database);
  Transaction(Transaction&& other) noexcept;
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction();
  Status commit();

 private:
  explicit Transaction(Database& database) : database_(&database) {}
  Database* database_;
};

}  // namespace checkbit
