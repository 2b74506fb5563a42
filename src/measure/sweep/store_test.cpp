#include "measure/sweep/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace checkbit {
namespace {

using ::testing::HasSubstr;

class StoreFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              ("checkbit_store_" + std::to_string(::getpid()) + "_" +
               ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string path() const { return (folder_ / "store.sqlite").string(); }
  std::filesystem::path folder_;
};

const SweepSubject kSubject = {.model = {.name = "m-1b", .hash = "aa", .parameters = 10},
                               .text_name = "t",
                               .text_hash = "tt",
                               .context_tokens = 64};
const SweepCandidate kCandidate = {.name = "Q4_0", .method = "rounding", .expected_bits = 4.5};
const SweepPiece kPiece = {"tt", 2, 3};

PieceResult some_result() {
  PieceResult result{.file = {.file_bytes = 1000, .bits_per_weight = 4.5, .note = "n"},
                     .speed = StoredSpeed{0.01, 0.009, 0.012},
                     .windows = {},
                     .broken = "",
                     .make_seconds = 2,
                     .window_seconds = 0.5};
  for (int i = 0; i < 3; ++i)
    result.windows.push_back({{.tokens = 31, .loss = 60.5 + i, .divergence = 0.25}, 100});
  return result;
}

TEST_F(StoreFiles, KeepsWhatWasMeasured) {
  {
    auto store = SweepStore::open(path());
    ASSERT_TRUE(store.ok());
    ASSERT_TRUE(*store->claim(kSubject, kCandidate, kPiece));
    ASSERT_TRUE(store->finish(kSubject, kCandidate, kPiece, some_result()).ok());
  }
  auto store = SweepStore::open(path());
  ASSERT_TRUE(store.ok());
  const auto models = store->read();
  ASSERT_TRUE(models.ok());
  ASSERT_EQ(models->size(), 1U);
  const StoredModel& model = models->front();
  EXPECT_EQ(model.model.name, "m-1b");
  EXPECT_EQ(model.context_tokens, 64U);
  ASSERT_EQ(model.candidates.size(), 1U);
  const StoredCandidate& stored = model.candidates.front();
  EXPECT_EQ(stored.candidate.method, "rounding");
  EXPECT_EQ(stored.file.file_bytes, 1000U);
  EXPECT_EQ(stored.file.note, "n");
  EXPECT_EQ(stored.speed->low, 0.009);
  ASSERT_EQ(stored.windows.size(), 3U);
  EXPECT_EQ(stored.windows.at({"tt", 4}).score.loss, 62.5);
  EXPECT_EQ(stored.windows.at({"tt", 2}).text_bytes, 100);
  const auto costs = store->costs("aa");
  ASSERT_TRUE(costs.ok() && costs->has_value());
  EXPECT_EQ((*costs)->make_seconds, 2);
  EXPECT_FALSE(store->costs("bb")->has_value());
}

TEST_F(StoreFiles, APieceIsClaimedOnce) {
  auto first = SweepStore::open(path());
  auto second = SweepStore::open(path());
  ASSERT_TRUE(*first->claim(kSubject, kCandidate, kPiece));
  EXPECT_FALSE(*second->claim(kSubject, kCandidate, kPiece));
  EXPECT_TRUE(*second->claim(kSubject, kCandidate, {"tt", 5, 3}));
  ASSERT_TRUE(first->give_up(kSubject, kCandidate, kPiece).ok());
  EXPECT_TRUE(*second->claim(kSubject, kCandidate, kPiece));
  ASSERT_TRUE(second->finish(kSubject, kCandidate, kPiece, some_result()).ok());
  EXPECT_FALSE(*first->claim(kSubject, kCandidate, kPiece)) << "it has been measured";
}

TEST_F(StoreFiles, AClaimEndsWithItsProcess) {
  auto store = SweepStore::open(path());
  ASSERT_TRUE(*store->claim(kSubject, kCandidate, kPiece));
  auto database = Database::open(path());
  const auto owned_by = [&](const std::string& owner, long long since) {
    auto update = database->prepare("UPDATE claim SET owner = ?, since = ?");
    EXPECT_TRUE(update->bind(owner).bind(std::int64_t{since}).run().ok());
  };
  const std::string own = detail::process_identity();
  EXPECT_EQ(detail::is_alive(own), std::optional(true));
  const std::string host = own.substr(0, own.find(' '));
  // The same number, started at another time: another process.
  owned_by(host + " " + std::to_string(::getpid()) + " 1", 0);
  EXPECT_TRUE(*store->claim(kSubject, kCandidate, kPiece));
  owned_by(host + " 999999999 5", 0);
  EXPECT_TRUE(*store->claim(kSubject, kCandidate, kPiece));
  owned_by("elsewhere 1 1", 4'000'000'000);
  EXPECT_FALSE(*store->claim(kSubject, kCandidate, kPiece)) << "of another machine, and fresh";
  owned_by("elsewhere 1 1", 0);
  EXPECT_TRUE(*store->claim(kSubject, kCandidate, kPiece)) << "of another machine, and old";
}

TEST_F(StoreFiles, ATransactionThatIsNotCommittedLeavesNothing) {
  auto database = Database::open(path());
  ASSERT_TRUE(database->run("CREATE TABLE t(x)").ok());
  {
    auto transaction = Transaction::begin(*database);
    ASSERT_TRUE(transaction.ok());
    ASSERT_TRUE(database->run("INSERT INTO t VALUES(1)").ok());
  }
  auto count = database->prepare("SELECT count(*) FROM t");
  ASSERT_TRUE(*count->step());
  EXPECT_EQ(count->integer(0), 0);
}

TEST_F(StoreFiles, AFullDiskIsSaidAndLosesNothing) {
  auto database = Database::open(path());
  ASSERT_TRUE(database->run("CREATE TABLE t(x)").ok());
  ASSERT_TRUE(database->run("INSERT INTO t VALUES('kept')").ok());
  {  // The limit answers as a full disk does.
    auto limit = database->prepare("PRAGMA max_page_count = 4");
    ASSERT_TRUE(*limit->step());
  }
  {
    auto transaction = Transaction::begin(*database);
    ASSERT_TRUE(transaction.ok());
    const Status status = database->run("INSERT INTO t VALUES(zeroblob(1000000))");
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().kind, ErrorKind::io);
    EXPECT_THAT(status.error().message, HasSubstr("disk is full"));
    EXPECT_THAT(status.error().message, HasSubstr(path()));
  }
  auto count = database->prepare("SELECT count(*) FROM t");
  ASSERT_TRUE(*count->step());
  EXPECT_EQ(count->integer(0), 1);
}

TEST_F(StoreFiles, RefusesWhatIsNotAStore) {
  std::ofstream(path()) << std::string(5000, 'x');
  const auto store = SweepStore::open(path());
  ASSERT_FALSE(store.ok());
  EXPECT_EQ(store.error().kind, ErrorKind::corrupt);
  EXPECT_THAT(store.error().message, HasSubstr(path()));
  const auto nowhere = SweepStore::open((folder_ / "no" / "s.sqlite").string());
  ASSERT_FALSE(nowhere.ok());
  EXPECT_EQ(nowhere.error().kind, ErrorKind::io);
}

TEST_F(StoreFiles, RefusesAStoreOfALaterVersion) {
  {
    auto database = Database::open(path());
    ASSERT_TRUE(database->run("PRAGMA user_version = 99").ok());
  }
  const auto store = SweepStore::open(path());
  ASSERT_FALSE(store.ok());
  EXPECT_EQ(store.error().kind, ErrorKind::unsupported);
  EXPECT_THAT(store.error().message, HasSubstr("99"));
}

}  // namespace
}  // namespace checkbit
