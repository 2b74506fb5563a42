#include "file/database.h"

#include <sqlite3.h>

#include <utility>

namespace checkbit {
namespace {

Error failure(sqlite3* handle, const std::string& path, int code) {
  switch (code & 0xff) {
    case SQLITE_FULL:
      return fail(ErrorKind::io,
                  "{}: the disk is full: what was finished before is kept; make room and run again",
                  path);
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      return fail(ErrorKind::corrupt,
                  "{}: not a store of results, or a damaged one: move it away to start anew", path);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return fail(ErrorKind::budget, "{}: another program has held the store for {} seconds", path,
                  kBusyMilliseconds / 1000);
    default:
      return fail(ErrorKind::io, "{}: {}", path, sqlite3_errmsg(handle));
  }
}

}  // namespace

Statement::Statement(Statement&& other) noexcept
    : handle_(std::exchange(other.handle_, nullptr)),
      path_(std::move(other.path_)),
      bound_(other.bound_) {}

Statement::~Statement() { sqlite3_finalize(handle_); }

Statement& Statement::bind(std::string_view text) {
  const int code = sqlite3_bind_text(handle_, ++bound_, text.data(), static_cast<int>(text.size()),
                                     SQLITE_TRANSIENT);  // NOLINT: a cast inside SQLite's macro
  CB_CHECK(code == SQLITE_OK);
  return *this;
}

Statement& Statement::bind(double value) {
  CB_CHECK(sqlite3_bind_double(handle_, ++bound_, value) == SQLITE_OK);
  return *this;
}

Statement& Statement::bind(std::int64_t value) {
  CB_CHECK(sqlite3_bind_int64(handle_, ++bound_, value) == SQLITE_OK);
  return *this;
}

Result<bool> Statement::step() {
  const int code = sqlite3_step(handle_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return failure(sqlite3_db_handle(handle_), path_, code);
}

Status Statement::run() {
  CB_TRY(const bool row, step());
  CB_CHECK(!row);
  return {};
}

std::int64_t Statement::integer(int column) const { return sqlite3_column_int64(handle_, column); }

double Statement::number(int column) const { return sqlite3_column_double(handle_, column); }

std::string Statement::text(int column) const {
  const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(handle_, column));
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(handle_, column));
  return bytes == nullptr ? std::string() : std::string(bytes, size);
}

void Database::Close::operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }

Result<Database> Database::open(const std::string& path) {
  sqlite3* handle = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
  Database database(handle, path);
  if (code != SQLITE_OK) return failure(handle, path, code);
  sqlite3_busy_timeout(handle, kBusyMilliseconds);
  return database;
}

Result<Statement> Database::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v2(handle_.get(), sql.data(), static_cast<int>(sql.size()),
                                      &statement, nullptr);
  if (code != SQLITE_OK) return failure(handle_.get(), path_, code);
  return Statement(statement, path_);
}

Status Database::run(const std::string& sql) {
  const int code = sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return failure(handle_.get(), path_, code);
  return {};
}

Status Database::prepare_tables(const std::string& tables, std::int64_t version) {
  CB_TRY(Transaction transaction, Transaction::begin(*this));
  std::int64_t found = 0;
  {
    CB_TRY(Statement statement, prepare("PRAGMA user_version"));
    CB_TRY(const bool row, statement.step());
    if (row) found = statement.integer(0);
  }
  if (found > version) {
    return fail(ErrorKind::unsupported,
                "{}: a store of a later Checkbit (version {}, this one knows {})", path_, found,
                version);
  }
  CB_TRY_STATUS(run(tables));
  CB_TRY_STATUS(run(fmt::format("PRAGMA user_version = {}", version)));
  return transaction.commit();
}

std::int64_t Database::last_row_id() const { return sqlite3_last_insert_rowid(handle_.get()); }

Result<Transaction> Transaction::begin(Database& database) {
  CB_TRY_STATUS(database.run("BEGIN IMMEDIATE"));
  return Transaction(database);
}

Result<Transaction> Transaction::begin_reading(Database& database) {
  CB_TRY_STATUS(database.run("BEGIN"));
  return Transaction(database);
}

Transaction::Transaction(Transaction&& other) noexcept
    : database_(std::exchange(other.database_, nullptr)) {}

Transaction::~Transaction() {
  // SQLite has rolled back by itself after some errors; then there is nothing to undo.
  if (database_ != nullptr) static_cast<void>(database_->run("ROLLBACK"));
}

Status Transaction::commit() {
  CB_TRY_STATUS(database_->run("COMMIT"));
  database_ = nullptr;
  return {};
}

}  // namespace checkbit
