// Queries: typed rows, everything but reading refused, limits, and when two results are the same.

#include "sandbox/sql.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "sandbox/result_match.h"

namespace checkbit {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Sql : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / fmt::format("checkbit sql ?%#é {}", getpid());
    fs::create_directories(folder_);
    path_ = (folder_ / "towns.sqlite").string();
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &database), SQLITE_OK);
    const char* statements =
        "CREATE TABLE town(name TEXT, people INTEGER, area REAL, note BLOB);"
        "INSERT INTO town VALUES('Ulm', 126000, 118.69, NULL), ('Bonn', 330000, 141.06, x'00ff');"
        "CREATE VIEW large AS SELECT * FROM town WHERE people > 200000;"
        "CREATE TRIGGER t AFTER INSERT ON town BEGIN DELETE FROM town; END;";
    ASSERT_EQ(sqlite3_exec(database, statements, nullptr, nullptr, nullptr), SQLITE_OK);
    sqlite3_close(database);
    before_ = bytes();
  }
  void TearDown() override {
    EXPECT_EQ(bytes(), before_);
    EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1)
        << "a file beside the database";
    fs::remove_all(folder_);
  }
  std::string bytes() const {
    std::ostringstream text;
    text << std::ifstream(path_, std::ios::binary).rdbuf();
    return text.str();
  }
  SqlOutcome run(const std::string& query, const SqlLimits& limits = {}) const {
    auto outcome = run_query(path_, query, limits);
    EXPECT_TRUE(outcome.ok()) << outcome.error().message;
    return outcome.ok() ? *outcome : SqlOutcome{};
  }

  fs::path folder_;
  std::string path_;
  std::string before_;
};

TEST_F(Sql, RowsHaveTypes) {
  const auto outcome = run("SELECT name, people, area, note FROM town ORDER BY name -- all\n;");
  ASSERT_TRUE(outcome.ok) << outcome.error;
  EXPECT_THAT(outcome.columns, ElementsAre("name", "people", "area", "note"));
  EXPECT_EQ(outcome.rows[0],
            (SqlRow{"Bonn", std::int64_t{330000}, 141.06, SqlBlob{std::string("\0\xff", 2)}}));
  EXPECT_EQ(outcome.rows[1], (SqlRow{"Ulm", std::int64_t{126000}, 118.69, SqlNull{}}));
  EXPECT_EQ(to_string(outcome.rows[0][3]), "x'00ff'");
  EXPECT_EQ(to_string(SqlValue{std::string("it's")}), "'it''s'");
}

TEST_F(Sql, ViewsFunctionsAndRecursionAreReading) {
  EXPECT_EQ(run("SELECT upper(name) FROM large").rows[0][0], SqlValue{std::string("BONN")});
  EXPECT_EQ(run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) "
                "SELECT sum(i) FROM n")
                .rows[0][0],
            SqlValue{std::int64_t{5050}});
}

TEST_F(Sql, NothingButReading) {
  const std::string other = (folder_ / "other.sqlite").string();
  const std::string refused[] = {
      "INSERT INTO town VALUES('X', 1, 1, 1)",
      "DELETE FROM town",
      "UPDATE town SET people = 0",
      "WITH x AS (SELECT 1) DELETE FROM town",
      "DROP TABLE town",
      "CREATE TABLE t2(x)",
      "CREATE TEMP TABLE t2(x)",
      "ALTER TABLE town RENAME TO city",
      "PRAGMA query_only = 0",
      "PRAGMA writable_schema = 1",
      "PRAGMA journal_mode = WAL",
      "SELECT * FROM pragma_table_info('town')",
      "ATTACH '" + other + "' AS o",
      "VACUUM INTO '" + other + "'",
      "REINDEX",
      "ANALYZE",
      "BEGIN",
      "SAVEPOINT s",
      "SELECT load_extension('x')",
      "SELECT writefile('" + other + "', 'x')",
      "SELECT readfile('/etc/passwd')",
      "SELECT edit('x')",
      "SELECT fts3_tokenizer('simple')",
      "CREATE VIRTUAL TABLE v USING fts5(x)",
      "EXPLAIN SELECT 1",
      "SELECT 1; SELECT 2",
      "SELECT 1; DROP TABLE town",
      "SELECT 1 /* */ ; garbage",
      "",
      "-- nothing",
      "SELECT * FROM nothing",
      "SELECT FROM WHERE",
      std::string("SELECT 1\0; DROP TABLE town", 26),
  };
  for (const std::string& query : refused) {
    const auto outcome = run(query);
    EXPECT_FALSE(outcome.ok) << query;
    EXPECT_FALSE(outcome.error.empty()) << query;
    EXPECT_TRUE(outcome.rows.empty()) << query;
  }
}

TEST_F(Sql, LimitsHold) {
  const std::string endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) ";
  SqlLimits limits;
  limits.seconds = 0.3;
  const auto slow = run(endless + "SELECT count(*) FROM n", limits);
  EXPECT_TRUE(slow.limit_hit);
  EXPECT_THAT(slow.error, HasSubstr("0.3 s"));
  EXPECT_LT(slow.seconds, 3);
  limits.rows = 10;
  EXPECT_THAT(run(endless + "SELECT i FROM n", limits).error, HasSubstr("more than 10 rows"));
  EXPECT_TRUE(run("SELECT 1 FROM town", limits).ok);
  limits = {};
  limits.bytes = 100'000;
  EXPECT_THAT(run(endless + "SELECT zeroblob(1000) FROM n", limits).error, HasSubstr("bytes"));
  EXPECT_FALSE(run("SELECT zeroblob(100000000)").ok);
  EXPECT_FALSE(run("SELECT 1" + std::string(20000, ' ')).ok);
  EXPECT_FALSE(run("SELECT " + std::string(1000, '(') + "1" + std::string(1000, ')')).ok);
}

TEST_F(Sql, SortingMoreThanMemoryAllowsFails) {
  SqlLimits limits;
  limits.seconds = 20;
  const auto outcome =
      run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
          "SELECT group_concat(hex(randomblob(1000))) OVER (ORDER BY i) FROM n",
          limits);
  EXPECT_FALSE(outcome.ok);
  EXPECT_TRUE(outcome.limit_hit) << outcome.error;
}

TEST_F(Sql, SchemaIsWhatMadeTheTables) {
  const auto schema = read_schema(path_);
  ASSERT_TRUE(schema.ok());
  EXPECT_EQ(*schema,
            "CREATE VIEW large AS SELECT * FROM town WHERE people > 200000;\n"
            "CREATE TABLE town(name TEXT, people INTEGER, area REAL, note BLOB);\n");
}

TEST_F(Sql, ManyThreadsReadOneDatabase) {
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 20; ++j) right += run("SELECT * FROM town").rows.size() == 2 ? 1 : 0;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(right, 160);
}

TEST_F(Sql, DatabasesThatAreNone) {
  EXPECT_EQ(run_query((folder_ / "none").string(), "SELECT 1").error().kind, ErrorKind::not_found);
  EXPECT_EQ(run_query(folder_.string(), "SELECT 1").error().kind, ErrorKind::not_found);
  const fs::path text = fs::temp_directory_path() / fmt::format("checkbit-text-{}", getpid());
  std::ofstream(text) << std::string(4096, 'x');
  const auto outcome = run_query(text.string(), "SELECT 1");
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().kind, ErrorKind::corrupt);
  EXPECT_THAT(outcome.error().message, HasSubstr(text.string()));
  fs::remove(text);
}

// A database with bytes turned over gives an error or rows, never a crash.
TEST_F(Sql, DamagedDatabasesAreErrors) {
  const std::string whole = bytes();
  const fs::path damaged = fs::temp_directory_path() / fmt::format("checkbit-hurt-{}", getpid());
  for (std::size_t place = 0; place < whole.size(); place += 37) {
    std::string hurt = whole;
    hurt[place] = static_cast<char>(~hurt[place]);
    std::ofstream(damaged, std::ios::binary) << hurt;
    const auto outcome = run_query(damaged.string(), "SELECT * FROM town ORDER BY people");
    EXPECT_TRUE(!outcome.ok() || outcome->ok || !outcome->error.empty()) << place;
  }
  fs::remove(damaged);
}

SqlRow row(SqlValue a, SqlValue b) { return {std::move(a), std::move(b)}; }

TEST(ExecutionMatch, RowsAsAMultisetOrInOrder) {
  const SqlRow x = row(std::int64_t{1}, std::string("a"));
  const SqlRow y = row(std::int64_t{2}, std::string("b"));
  EXPECT_TRUE(same_rows({x, y}, {y, x}, false));
  EXPECT_FALSE(same_rows({x, y}, {y, x}, true));
  EXPECT_TRUE(same_rows({x, y}, {x, y}, true));
  EXPECT_FALSE(same_rows({x, x, y}, {x, y, y}, false));
  EXPECT_FALSE(same_rows({x}, {x, x}, false));
  EXPECT_FALSE(same_rows({x}, {{x[1], x[0]}}, false));
  EXPECT_TRUE(same_rows({}, {}, false));
}

TEST(ExecutionMatch, NumbersAreNumbersAndTextIsText) {
  const auto same = [](SqlValue a, SqlValue b) { return same_rows({{a}}, {{b}}, false); };
  EXPECT_TRUE(same(std::int64_t{3}, 3.0));
  EXPECT_TRUE(same(0.1 + 0.2, 0.3));
  EXPECT_TRUE(same(0.0, -0.0));
  EXPECT_FALSE(same(3.0, 3.001));
  EXPECT_FALSE(same(std::int64_t{3}, std::string("3")));
  EXPECT_FALSE(same(std::string("a"), std::string("A")));
  EXPECT_TRUE(same(SqlNull{}, SqlNull{}));
  EXPECT_FALSE(same(SqlNull{}, std::int64_t{0}));
  EXPECT_FALSE(same(std::string("x"), SqlBlob{"x"}));
  EXPECT_FALSE(same(std::int64_t{9007199254740993}, std::int64_t{9007199254740992}));
  // Sums that differ in the last bit must not change which rows stand beside each other.
  EXPECT_TRUE(same_rows({row(0.30000000000000004, std::string("b")), row(0.3, std::string("a"))},
                        {row(0.3, std::string("b")), row(0.30000000000000004, std::string("a"))},
                        false));
}

TEST(ExecutionMatch, OrderCountsOnlyWhereTheQueryOrders) {
  EXPECT_TRUE(orders_rows("SELECT a FROM t ORDER BY a"));
  EXPECT_TRUE(orders_rows("select a from t order\n\tby a limit 1;"));
  EXPECT_FALSE(orders_rows("SELECT a FROM (SELECT a FROM t ORDER BY a)"));
  EXPECT_FALSE(orders_rows("SELECT 'ORDER BY' FROM t"));
  EXPECT_FALSE(orders_rows("SELECT \"order by\" FROM t -- ORDER BY a"));
  EXPECT_FALSE(orders_rows("SELECT /* order by */ a FROM t"));
  EXPECT_FALSE(orders_rows("SELECT reorder by_x FROM t"));
  EXPECT_FALSE(orders_rows("SELECT rank() OVER (ORDER BY a) FROM t"));
  EXPECT_TRUE(orders_rows("SELECT x FROM t WHERE a IN (SELECT b FROM u) ORDER BY x"));
  EXPECT_FALSE(orders_rows("SELECT 'it''s ORDER BY"));
}

TEST(ExecutionMatch, QueriesThatFailedMatchNothing) {
  SqlOutcome good{.ok = true, .columns = {"a"}, .rows = {{std::int64_t{1}}}};
  SqlOutcome bad;
  EXPECT_TRUE(execution_match(good, good, "SELECT 1"));
  EXPECT_FALSE(execution_match(bad, good, "SELECT 1"));
  EXPECT_FALSE(execution_match(bad, bad, "SELECT 1"));
  SqlOutcome two_columns{.ok = true, .columns = {"a", "b"}};
  SqlOutcome no_rows{.ok = true, .columns = {"a"}};
  EXPECT_FALSE(execution_match(two_columns, no_rows, "SELECT 1"));
}

}  // namespace
}  // namespace checkbit
