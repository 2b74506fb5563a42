#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <thread>

#include "base/progress.h"
#include "base/random.h"
#include "measure/sweep/points.h"
#include "measure/sweep/remembered_source.h"
#include "measure/sweep/run_sweep.h"
#include "measure/sweep/session_candidate.h"

namespace checkbit {
namespace {

constexpr std::size_t kVocabulary = 12;
constexpr std::size_t kContext = 16;

/// Logits that depend on everything read in the window; `error` is put on top.
class TableSource : public LogitsSource {
 public:
  TableSource(std::string name, double error) : name_(std::move(name)), error_(error) {}
  std::string name() const override { return name_; }
  std::size_t vocabulary_size() const override { return kVocabulary; }
  Status begin_window() override {
    state_ = 17;
    return {};
  }
  std::size_t max_logits() const override { return 4; }
  Result<LogitsView> read(std::span<const TokenId> tokens, bool want) override {
    rows_.clear();
    for (const TokenId token : tokens) {
      state_ = squares64(state_ + static_cast<std::uint64_t>(token), squares_key(5));
      ++tokens_read;
      if (!want) continue;
      Random random(state_);
      for (std::size_t v = 0; v < kVocabulary; ++v) {
        const double base = 3 * random.uniform();
        rows_.push_back(static_cast<float>(base + error_ * (random.uniform() - 0.5)));
      }
    }
    if (std::isnan(error_) && want) rows_[0] = NAN;
    const auto width = static_cast<std::int64_t>(kVocabulary);
    return LogitsView{rows_.data(), static_cast<std::int64_t>(rows_.size()) / width, width, width};
  }
  std::size_t tokens_read = 0;

 private:
  std::string name_;
  double error_;
  std::uint64_t state_ = 17;
  std::vector<float> rows_;
};

class TableCandidate : public OpenCandidate {
 public:
  TableCandidate(std::string path, double error) : source_(std::move(path), error) {}
  LogitsSource& source() override { return source_; }
  Result<StoredSpeed> measure_speed() override { return StoredSpeed{0.5, 0.4, 0.6}; }

 private:
  TableSource source_;
};

/// The file holds the error that its model makes; the name "8" makes less of it than "2".
double error_of(const SweepCandidate& candidate) {
  return candidate.name == "nan" ? NAN : std::pow(2.0, 3 - candidate.expected_bits);
}

std::vector<SweepCandidate> some_candidates(int count) {
  std::vector<SweepCandidate> candidates;
  for (int i = 0; i < count; ++i)
    candidates.push_back(
        {.name = std::to_string(i + 2), .method = "rounding", .expected_bits = i + 2.0});
  return candidates;
}

class SweepFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              ("checkbit_sweep_" + std::to_string(::getpid()) + "_" +
               ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_);
    options_ = {.context_tokens = kContext, .first_windows = 8, .folder = folder_.string()};
    text_ = {.name = "text", .hash = "t1", .tokens = {}, .token_bytes = {}};
    Random random(3);
    for (std::size_t i = 0; i < 40 * kContext; ++i) {
      text_.tokens.push_back(static_cast<TokenId>(random.below(kVocabulary)));
      text_.token_bytes.push_back(static_cast<std::uint32_t>(1 + random.below(6)));
    }
    workshop_ = {.make = [this](const SweepCandidate& candidate,
                                const std::string& path) -> Result<CandidateFile> {
                   made_.push_back(candidate.name);
                   if (candidate.name == "disk") return fail(ErrorKind::io, "{}: disk full", path);
                   if (candidate.name == "small") return fail(ErrorKind::budget, "too small");
                   std::ofstream(path) << error_of(candidate);
                   return CandidateFile{static_cast<std::uint64_t>(100 * candidate.expected_bits),
                                        candidate.expected_bits, ""};
                 },
                 .open = [](const std::string& path) -> Result<std::unique_ptr<OpenCandidate>> {
                   std::string error;
                   std::ifstream(path) >> error;
                   return std::unique_ptr<OpenCandidate>(
                       std::make_unique<TableCandidate>(path, std::stod(error)));
                 }};
  }
  void TearDown() override {
    clear_cancel();
    std::filesystem::remove_all(folder_);
  }

  Result<SweepOutcome> sweep(const std::vector<SweepCandidate>& candidates) {
    auto store = SweepStore::open(store_path());
    EXPECT_TRUE(store.ok());
    return run_sweep(*store, model_, reference_, candidates, std::span(&text_, 1), workshop_,
                     options_);
  }
  StoredModel stored() const {
    const auto models = SweepStore::open(store_path())->read();
    EXPECT_EQ(models->size(), 1U);
    return models->empty() ? StoredModel{} : models->front();
  }
  std::string store_path() const { return (folder_ / "store.sqlite").string(); }
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder_),
                                                  std::filesystem::directory_iterator()));
  }

  std::filesystem::path folder_;
  void expect_that_a_full_disk_keeps_what_was_finished() {
    options_.max_windows = 8;
    std::vector<SweepCandidate> candidates = some_candidates(3);
    candidates[1].name = "disk";  // third in order
    const auto outcome = sweep(candidates);
    ASSERT_FALSE(outcome.ok());
    EXPECT_EQ(outcome.error().kind, ErrorKind::io);
    EXPECT_EQ(points_of(stored()).size(), 2U);
    candidates[1].name = "3";
    EXPECT_EQ(sweep(candidates)->done, 1U) << "no claim is left behind";
  }

  SweepOptions options_;
  SweepText text_;
  SweepModel model_ = {.name = "m", .hash = "mm", .parameters = 100};
  TableSource reference_{"reference", 0};
  SweepWorkshop workshop_;
  std::vector<std::string> made_;
};

TEST(SpanningOrder, SpansTheRangeFromTheStart) {
  for (std::size_t n = 0; n < 70; ++n) {
    std::vector<std::size_t> order = spanning_order(n);
    if (n >= 3) {
      EXPECT_EQ(order[0], n - 1);
      EXPECT_EQ(order[1], 0U);
      EXPECT_EQ(order[2], (n - 1) / 2);
    }
    std::ranges::sort(order);
    std::vector<std::size_t> all(n);
    std::iota(all.begin(), all.end(), 0U);
    EXPECT_EQ(order, all) << n;
  }
}

TEST_F(SweepFiles, MeasuresEveryCandidateAndRemovesItsFile) {
  options_.max_windows = 8;
  const auto outcome = sweep(some_candidates(4));
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(outcome->done, 4U);
  EXPECT_EQ(files(), 1U) << "only the store is left";
  const StoredModel model = stored();
  const std::vector<SweepPoint> points = points_of(model);
  ASSERT_EQ(points.size(), 4U);
  for (std::size_t i = 0; i + 1 < points.size(); ++i) {
    EXPECT_GT(points[i].damage.value, points[i + 1].damage.value);
    EXPECT_TRUE(points[i].damage.interval.has_value());
    EXPECT_EQ(points[i].windows, 8U);
  }
  // The stored sums are those of one comparison over the same windows.
  TableSource model_source("8", error_of(some_candidates(4)[0]));
  CompareOptions compare{.context_tokens = kContext, .max_windows = 8};
  const auto whole = compare_models(model_source, &reference_, text_.tokens, compare);
  const CandidateResult& expected = whole->candidates.front();
  EXPECT_DOUBLE_EQ(points[0].damage.value, expected.divergence->mean.value);
  EXPECT_DOUBLE_EQ(points[0].perplexity_ratio.value, expected.divergence->perplexity_ratio.value);
  EXPECT_DOUBLE_EQ(points[0].top1_changed.value, expected.divergence->top1_changed.value);
  double bytes = 0;
  for (std::size_t w = 0; w < 8; ++w)
    for (std::size_t t = kContext / 2 + 1; t < kContext; ++t)
      bytes += text_.token_bytes[w * kContext + t];
  EXPECT_NEAR(points[0].loss_per_byte.value * bytes,
              std::log(expected.perplexity.value) * static_cast<double>(whole->scored_tokens),
              1e-9);
}

TEST_F(SweepFiles, TogetherTheReferenceIsReadOnceAndNothingElseChanges) {
  options_.max_windows = 8;
  std::vector<SweepCandidate> candidates = some_candidates(5);
  candidates.push_back({.name = "nan", .method = "rounding", .expected_bits = 9});
  candidates.push_back({.name = "small", .method = "rounding", .expected_bits = 10});
  ASSERT_TRUE(sweep(candidates).ok());
  const std::size_t read_alone = reference_.tokens_read;
  const StoredModel alone = stored();
  std::filesystem::remove(store_path());
  options_.together = 7;
  reference_.tokens_read = 0;
  made_.clear();
  const auto outcome = sweep(candidates);
  ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  EXPECT_EQ(outcome->done, 7U);
  EXPECT_EQ(files(), 1U) << "only the store is left";
  EXPECT_EQ(reference_.tokens_read, 8 * (kContext - 1));
  EXPECT_GT(read_alone, 5 * reference_.tokens_read);
  const StoredModel together = stored();
  ASSERT_EQ(together.candidates.size(), alone.candidates.size());
  for (std::size_t i = 0; i < alone.candidates.size(); ++i) {
    const StoredCandidate& one = alone.candidates[i];
    const StoredCandidate& other = together.candidates[i];
    EXPECT_EQ(other.candidate.name, one.candidate.name);
    EXPECT_EQ(other.broken.empty(), one.broken.empty());
    ASSERT_EQ(other.windows.size(), one.windows.size());
    for (const auto& [key, window] : one.windows) {
      const StoredWindow& same = other.windows.at(key);
      EXPECT_EQ(same.score.divergence, window.score.divergence);
      EXPECT_EQ(same.score.loss, window.score.loss);
      EXPECT_EQ(same.text_bytes, window.text_bytes);
    }
  }
}

TEST_F(SweepFiles, TogetherADiskThatFillsKeepsWhatWasMadeBefore) {
  options_.together = 3;
  expect_that_a_full_disk_keeps_what_was_finished();
}

TEST_F(SweepFiles, GoesOnWhereItStopped) {
  options_.max_windows = 8;
  options_.news = [](const SweepNews& news) {
    if (news.number == 3) request_cancel();
  };
  const auto stopped = sweep(some_candidates(6));
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(points_of(stored()).size(), 2U) << "two were finished";
  EXPECT_EQ(files(), 1U);
  clear_cancel();
  options_.news = nullptr;
  made_.clear();
  const auto rest = sweep(some_candidates(6));
  ASSERT_TRUE(rest.ok());
  EXPECT_EQ(rest->done, 4U);
  EXPECT_EQ(made_.size(), 4U);
  EXPECT_EQ(points_of(stored()).size(), 6U);
  EXPECT_EQ(sweep(some_candidates(6))->done, 0U);
}

TEST_F(SweepFiles, StoppingWhileAFileIsMadeIsNotTheCandidatesFault) {
  options_.max_windows = 8;
  const auto plain = workshop_.make;
  workshop_.make = [&](const SweepCandidate& candidate,
                       const std::string& path) -> Result<CandidateFile> {
    if (candidate.name == "3") request_cancel();
    if (cancel_requested()) return cancelled_error();
    return plain(candidate, path);
  };
  EXPECT_FALSE(sweep(some_candidates(3)).ok());
  clear_cancel();
  workshop_.make = plain;
  ASSERT_TRUE(sweep(some_candidates(3)).ok());
  EXPECT_EQ(points_of(stored()).size(), 3U);
}

TEST_F(SweepFiles, LaterRoundsBeginWithTheFront) {
  std::vector<SweepCandidate> candidates = some_candidates(5);
  // As large as the largest and as bad as the smallest: behind beyond doubt.
  candidates.push_back({.name = "bad", .method = "rounding", .expected_bits = 2});
  const auto bad_make = workshop_.make;
  workshop_.make = [&](const SweepCandidate& candidate, const std::string& path) {
    auto file = bad_make(candidate, path);
    if (candidate.name == "bad") file->file_bytes = 5000;
    return file;
  };
  ASSERT_TRUE(sweep(candidates).ok());
  ASSERT_EQ(made_.size(), 18U) << "8, then to 32, then to 40 windows for each";
  EXPECT_EQ(std::ranges::count(std::span(made_).first(6), "bad"), 1);
  EXPECT_EQ(made_[16], "bad");
  EXPECT_EQ(made_[17], "bad");
  EXPECT_EQ(points_of(stored())[0].windows, 40U);
}

TEST_F(SweepFiles, BeginsNothingThatDoesNotFitTheBudget) {
  options_.max_windows = 8;
  options_.budget_seconds = 1e-9;
  const auto outcome = sweep(some_candidates(5));
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(outcome->done, 1U) << "the first is always begun: nothing is known of its time";
  EXPECT_EQ(outcome->left, 4U);
  EXPECT_GT(outcome->seconds_left, 0);
}

TEST_F(SweepFiles, BrokenCandidatesAreNamedAndDoNotStopTheSweep) {
  options_.max_windows = 8;
  std::vector<SweepCandidate> candidates = some_candidates(3);
  candidates.push_back({.name = "nan", .method = "rounding", .expected_bits = 9});
  candidates.push_back({.name = "small", .method = "rounding", .expected_bits = 10});
  ASSERT_TRUE(sweep(candidates).ok());
  const StoredModel model = stored();
  EXPECT_EQ(points_of(model).size(), 3U);
  for (const StoredCandidate& stored : model.candidates) {
    if (stored.candidate.name == "nan")
      EXPECT_THAT(stored.broken, ::testing::HasSubstr("not finite"));
    else if (stored.candidate.name == "small")
      EXPECT_EQ(stored.broken, "too small");
    else
      EXPECT_EQ(stored.broken, "");
  }
  made_.clear();
  ASSERT_TRUE(sweep(candidates).ok());
  EXPECT_TRUE(made_.empty()) << "nothing is tried again";
}

TEST_F(SweepFiles, AFullDiskStopsTheSweepAndKeepsWhatWasFinished) {
  expect_that_a_full_disk_keeps_what_was_finished();
}

TEST_F(SweepFiles, TwoRunsOverOneStoreShareTheWork) {
  options_.max_windows = 8;
  const auto plain = workshop_.make;
  workshop_.make = [&](const SweepCandidate& candidate, const std::string& path) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return plain(candidate, path);
  };
  const std::vector<SweepCandidate> candidates = some_candidates(12);
  ASSERT_TRUE(SweepStore::open(store_path()).ok());
  const pid_t child = ::fork();
  if (child == 0) {
    options_.folder += "/child";
    std::filesystem::create_directories(options_.folder);
    const auto outcome = sweep(candidates);
    ::_exit(outcome.ok() ? static_cast<int>(made_.size()) : 99);
  }
  const auto outcome = sweep(candidates);
  ASSERT_TRUE(outcome.ok());
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  const auto made_by_child = static_cast<std::size_t>(WEXITSTATUS(status));
  EXPECT_EQ(made_.size() + made_by_child, candidates.size());
  EXPECT_GT(made_by_child, 0U);
  EXPECT_GT(made_.size(), 0U);
  EXPECT_EQ(points_of(stored()).size(), candidates.size());
}

TEST_F(SweepFiles, AKilledRunLeavesOnlyFinishedRows) {
  options_.max_windows = 8;
  const std::vector<SweepCandidate> candidates = some_candidates(5);
  const pid_t child = ::fork();
  if (child == 0) {
    options_.news = [](const SweepNews& news) {
      if (news.number == 4) ::_exit(0);  // in the middle, with nothing undone or said
    };
    static_cast<void>(sweep(candidates));
    ::_exit(1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(points_of(stored()).size(), 3U);
  for (const SweepPoint& point : points_of(stored())) EXPECT_EQ(point.windows, 8U);
  EXPECT_EQ(sweep(candidates)->done, 2U);
}

TEST_F(SweepFiles, ATextThatIsTooShortIsSaid) {
  text_.tokens.resize(kContext - 1);
  text_.token_bytes.resize(kContext - 1);
  const auto outcome = sweep(some_candidates(2));
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().kind, ErrorKind::budget);
}

/// `count` windows of each candidate, its damage in all of them the same but for `spread`.
StoredCandidate stored_candidate(const std::string& name, std::uint64_t bytes, double damage,
                                 double spread, double seconds) {
  StoredCandidate stored{.candidate = {.name = name, .method = "rounding"},
                         .file = {.file_bytes = bytes, .bits_per_weight = 4},
                         .speed = StoredSpeed{seconds, seconds, seconds},
                         .broken = "",
                         .windows = {}};
  Random random(bytes);
  for (std::size_t w = 0; w < 12; ++w) {
    const double noise = spread * (random.uniform() - 0.5);
    stored.windows[{"t", w}] = {{.tokens = 10, .divergence = 10 * (damage + noise)}, 50};
  }
  return stored;
}

StoredModel front_model() {
  StoredModel model;
  model.candidates = {
      stored_candidate("small", 10, 1.0, 0.001, 1), stored_candidate("middle", 20, 0.5, 0.001, 2),
      stored_candidate("worse", 25, 0.7, 0.001, 0.5), stored_candidate("noisy", 30, 0.52, 0.4, 4),
      stored_candidate("large", 40, 0.1, 0.001, 3)};
  return model;
}

TEST(Front, HoldsWhatNothingBeats) {
  using enum FrontPlace;
  const StoredModel model = front_model();
  EXPECT_EQ(front_of(model, FrontCost::bytes), (std::vector{on, on, behind, near, on}));
  EXPECT_EQ(front_of(model, FrontCost::seconds), (std::vector{behind, on, on, behind, on}));
}

TEST(Front, LeavesOutWhatIsBrokenOrHasNoSpeed) {
  StoredModel model = front_model();
  model.candidates[4].broken = "why";
  model.candidates[1].candidate.emulated = true;
  EXPECT_EQ(front_of(model, FrontCost::bytes)[4], FrontPlace::behind);
  EXPECT_EQ(front_of(model, FrontCost::bytes)[1], FrontPlace::on);
  EXPECT_EQ(front_of(model, FrontCost::seconds)[1], FrontPlace::behind);
}

TEST(Conditions, AreThoseThatMostModelsShare) {
  StoredModel a = front_model();
  a.model.name = "a";
  a.context_tokens = 64;
  a.texts = {{"t", "one"}, {"u", "two"}};
  a.candidates[0].windows[{"u", 0}] = {};
  StoredModel b = a;
  b.model.name = "b";
  b.candidates[0].windows.erase({"u", 0});
  b.texts.erase("u");
  StoredModel longer = a;
  longer.context_tokens = 128;
  const std::vector<StoredModel> models = {a, b, longer};
  const SweepConditions conditions = widest_conditions(models);
  EXPECT_EQ(conditions.context_tokens, 64U);
  EXPECT_EQ(conditions.texts, std::vector<std::string>{"t"});
  const std::vector<StoredModel> chosen = under_conditions(models, conditions);
  ASSERT_EQ(chosen.size(), 2U);
  EXPECT_FALSE(chosen[0].candidates[0].windows.contains({"u", 0}));
  EXPECT_TRUE(chosen[0].candidates[0].windows.contains({"t", 0}));
  EXPECT_TRUE(under_conditions({}, widest_conditions({})).empty());
}

TEST(BestUnder, IsTheLeastDamageThatFits) {
  const StoredModel model = front_model();
  const auto best = best_under(model, 32);
  ASSERT_TRUE(best.has_value());
  EXPECT_EQ(model.candidates[best->best].candidate.name, "middle");
  ASSERT_EQ(best->rivals.size(), 1U);
  EXPECT_EQ(model.candidates[best->rivals[0]].candidate.name, "noisy");
  EXPECT_EQ(model.candidates[best_under(model, 100)->best].candidate.name, "large");
  EXPECT_FALSE(best_under(model, 9).has_value());
}

/// The rows of a reading, one after the other.
std::vector<float> floats_of(const Result<LogitsView>& view) {
  std::vector<float> all;
  for (std::int64_t i = 0; i < view->rows; ++i)
    all.insert(all.end(), view->row(i).begin(), view->row(i).end());
  return all;
}

TEST(RememberedSource, GivesTheSameRowsAndAsksOnce) {
  TableSource plain("a", 0.5);
  TableSource below("a", 0.5);
  RememberedSource remembered(below, 1 << 20);
  const std::vector<TokenId> text = {1, 2, 3, 4, 5, 6, 7, 8};
  for (int pass = 0; pass < 3; ++pass) {
    const std::size_t before = below.tokens_read;
    ASSERT_TRUE(plain.begin_window().ok() && remembered.begin_window().ok());
    ASSERT_TRUE(plain.read(std::span(text).first(4), false).ok());
    ASSERT_TRUE(remembered.read(std::span(text).first(4), false).ok());
    for (std::size_t at = 4; at < 8; at += 2) {
      const auto chunk = std::span<const TokenId>(text).subspan(at, 2);
      EXPECT_EQ(floats_of(plain.read(chunk, true)), floats_of(remembered.read(chunk, true)))
          << pass << " " << at;
    }
    EXPECT_EQ(below.tokens_read - before, pass == 0 ? 8U : 0U);
  }
  // Another continuation of the same start is not the same.
  ASSERT_TRUE(plain.begin_window().ok() && remembered.begin_window().ok());
  ASSERT_TRUE(plain.read(std::span(text).first(4), false).ok());
  ASSERT_TRUE(remembered.read(std::span(text).first(4), false).ok());
  const std::vector<TokenId> other = {6, 5};
  EXPECT_EQ(floats_of(plain.read(other, true)), floats_of(remembered.read(other, true)));
}

TEST(RememberedSource, WithoutRoomItAsksAgainAndCatchesUp) {
  TableSource plain("a", 0.5);
  TableSource below("a", 0.5);
  // Room for the first chunk of two rows only.
  RememberedSource remembered(below, 2 * kVocabulary * sizeof(float));
  const std::vector<TokenId> text = {1, 2, 3, 4, 5, 6};
  for (int pass = 0; pass < 2; ++pass) {
    ASSERT_TRUE(plain.begin_window().ok() && remembered.begin_window().ok());
    for (std::size_t at = 0; at < 6; at += 2) {
      const auto chunk = std::span<const TokenId>(text).subspan(at, 2);
      EXPECT_EQ(floats_of(plain.read(chunk, true)), floats_of(remembered.read(chunk, true)));
    }
  }
  EXPECT_EQ(remembered.remembered_tokens(), 2U);
}

TEST(MedianSpeed, HasItsIntervalFromOrderStatistics) {
  std::vector<double> seconds(10);
  std::iota(seconds.begin(), seconds.end(), 1.0);
  const StoredSpeed ten = median_speed(seconds);
  EXPECT_EQ(ten.median, 5.5);
  EXPECT_EQ(ten.low, 2);  // 2nd and 9th of ten cover with 97.9 %
  EXPECT_EQ(ten.high, 9);
  const StoredSpeed one = median_speed({3});
  EXPECT_EQ(one.low, 3);
  EXPECT_EQ(one.high, 3);
}

}  // namespace
}  // namespace checkbit
