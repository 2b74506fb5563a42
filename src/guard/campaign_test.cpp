// Campaigns on the tiny model: outcomes, that they do not depend on who makes them, that they go on
// where they stopped; and faults against the checks and parity of blocks.

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "base/progress.h"
#include "guard/campaign_report.h"
#include "guard/code_faults.h"
#include "guard/live_guard.h"

namespace checkbit {
namespace {

const std::string kTiny = std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/qwen3-norms.gguf";

FaultSpec spec_of(std::string_view text) {
  const auto spec = parse_fault_spec(text);
  EXPECT_TRUE(spec.ok()) << text;
  return spec ? *spec : FaultSpec{};
}

class CampaignTest : public ::testing::Test {
 protected:
  CampaignTest() {
    folder_ = std::filesystem::temp_directory_path() /
              ("checkbit-campaign-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
  }
  ~CampaignTest() override { std::filesystem::remove_all(folder_); }

  static Result<std::unique_ptr<DamagedSession>> make(const DamagedSession* first) {
    return make_guarded(first, GuardLevel::off);
  }
  static Result<std::unique_ptr<DamagedSession>> make_guarded(const DamagedSession* first,
                                                              GuardLevel level) {
    SessionOptions options;
    options.threads = 1;
    options.context_tokens = 32;
    options.guard = level;
    auto session = Session::open(kTiny, options);
    if (!session) return session.error();
    if (level != GuardLevel::off) {
      const Status attached = attach_guard(*session, {.scrub = {.share = 0}, .program = false});
      if (!attached) return attached.error();
    }
    std::vector<TokenId> text;
    for (int i = 0; i < 24; ++i) text.push_back(5 + i * 7 % 40);
    return DamagedSession::create(*std::move(session), std::move(text), {},
                                  first == nullptr ? nullptr : first->clean());
  }
  static std::unique_ptr<DamagedSession> worker() {
    auto made = make(nullptr);
    EXPECT_TRUE(made.ok()) << (made ? "" : made.error().message);
    return made ? *std::move(made) : nullptr;
  }
  CampaignStore store(const std::string& name = "store.sqlite") {
    auto opened = CampaignStore::open((folder_ / name).string());
    EXPECT_TRUE(opened.ok());
    return *std::move(opened);
  }
  static std::vector<CellSummary> summaries(CampaignStore& store, std::size_t workers,
                                            const std::vector<FaultSpec>& specs,
                                            CampaignOptions options = {.most_trials = 40}) {
    Campaign campaign(store, {.model = "tiny", .model_hash = "1"}, options);
    EXPECT_TRUE(campaign.open_workers(workers, make).ok());
    auto cells = campaign.run(specs);
    EXPECT_TRUE(cells.ok()) << (cells ? "" : cells.error().message);
    return cells ? *std::move(cells) : std::vector<CellSummary>();
  }

  std::filesystem::path folder_;
};

/// The same fault does the same again, and a trial leaves no trace.
TEST_F(CampaignTest, FaultsChangeLogitsAndGoAway) {
  const auto tiny = worker();
  ASSERT_NE(tiny, nullptr);
  for (const char* text :
       {"field=scale.sign count=3", "field=scale count=3",
        "in=kv token=9 field=value.exponent count=40", "in=accumulators",
        "in=activations field=exponent", "count=30 burst=8", "page=4096", "rate=0.001 token=12"}) {
    FaultSpec spec = spec_of(text);
    const auto hit = tiny->trial(spec, 1);
    ASSERT_TRUE(hit.ok()) << text << ": " << hit.error().message;
    EXPECT_GT(hit->faults, 0u) << text;
    const auto again = tiny->trial(spec, 1);
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(again->divergence, hit->divergence) << text;
    EXPECT_EQ(again->outcome, hit->outcome) << text;
  }
  // With nothing in place the text reads as it did at first.
  LogitsHash hash;
  ASSERT_TRUE(tiny->session()
                  .evaluate(tiny->clean()->text, Logits::all,
                            [&](std::size_t, std::span<const float> row) -> Status {
                              hash.update(row);
                              return {};
                            })
                  .ok());
  EXPECT_EQ(hash.hex(), tiny->clean()->hash);
}

TEST_F(CampaignTest, WithoutAGuardNothingIsNoticed) {
  const auto tiny = worker();
  ASSERT_NE(tiny, nullptr);
  OutcomeCounts counts;
  for (std::uint64_t i = 0; i < 40; ++i) {
    const auto trial = tiny->trial(spec_of("seed=3"), i);
    ASSERT_TRUE(trial.ok());
    counts.add(trial->outcome);
    if (trial->divergence > 0) {
      EXPECT_EQ(trial->outcome, Outcome::silent) << i;
    }
  }
  EXPECT_EQ(counts[Outcome::corrected] + counts[Outcome::detected], 0u);
  EXPECT_GT(counts[Outcome::silent], 10u);
}

/// Weights are mended before their products go on; what norms lost is found when all is scrubbed.
TEST_F(CampaignTest, WithAGuardWeightsAreMendedWhileTheTextIsRead) {
  const auto made = make_guarded(nullptr, GuardLevel::check);
  ASSERT_TRUE(made.ok()) << made.error().message;
  const auto run = [&](const char* text) {
    OutcomeCounts counts;
    for (std::uint64_t i = 0; i < 40; ++i) {
      const auto trial = (*made)->trial(spec_of(text), i);
      if (!trial) {
        ADD_FAILURE() << text << ": " << trial.error().message;
        break;
      }
      EXPECT_FALSE(trial->skipped_checks);
      counts.add(trial->outcome);
    }
    return counts;
  };
  for (const char* text :
       {"seed=3 tensor=*ffn*weight field=quant", "seed=4 tensor=blk.0.attn_q.* rate=0.001"}) {
    const OutcomeCounts weights = run(text);
    EXPECT_EQ(weights[Outcome::corrected], 40u) << text;
  }
  const OutcomeCounts norms = run("seed=5 field=value.exponent tensor=*norm*");
  EXPECT_EQ(norms[Outcome::silent] + norms[Outcome::benign], 0u);
  EXPECT_GT(norms[Outcome::detected], 20u);
  const OutcomeCounts cache = run("seed=6 in=kv token=9");
  EXPECT_EQ(cache[Outcome::silent], 0u);
}

TEST_F(CampaignTest, SaysWhatCannotBeHit) {
  const auto tiny = worker();
  ASSERT_NE(tiny, nullptr);
  EXPECT_EQ(tiny->trial(spec_of("in=file"), 0).error().message,
            "fault: in=file is not part of a running session");
  EXPECT_EQ(tiny->trial(spec_of("token=24"), 0).error().message,
            "fault: token=24 is behind the text of 24 tokens");
  EXPECT_EQ(tiny->trial(spec_of("tensor=nothing"), 0).error().kind, ErrorKind::not_found);
  EXPECT_EQ(tiny->trial(spec_of("in=kv"), 0).error().kind, ErrorKind::invalid);
}

TEST_F(CampaignTest, WorkersAndInterruptionsChangeNothing) {
  const std::vector<FaultSpec> specs = {spec_of("rate=1e-05"), spec_of("rate=0.001"),
                                        spec_of("field=quant count=4")};
  CampaignStore one = store("one.sqlite");
  const auto alone = summaries(one, 1, specs);
  CampaignStore two = store("two.sqlite");
  // A budget that is over at once leaves cells with few trials, or none.
  const auto stopped = summaries(two, 2, specs, {.most_trials = 40, .budget_seconds = 1e-6});
  EXPECT_LT(stopped[0].trials + stopped[1].trials + stopped[2].trials, 10u);
  const auto together = summaries(two, 2, specs);
  ASSERT_EQ(together.size(), alone.size());
  for (std::size_t i = 0; i < alone.size(); ++i) {
    EXPECT_EQ(together[i].trials, alone[i].trials);
    EXPECT_EQ(together[i].divergence, alone[i].divergence);
    EXPECT_EQ(together[i].outcomes.of, alone[i].outcomes.of);
    EXPECT_EQ(together[i].faults, alone[i].faults);
  }
  const auto stored = one.read_all();
  ASSERT_TRUE(stored.ok());
  ASSERT_EQ(stored->size(), 1u);
  EXPECT_EQ((*stored)[0].trials.size(), 3u);
}

TEST_F(CampaignTest, ACellStopsWhenItIsKnown) {
  std::map<std::uint64_t, TrialResult> trials;
  for (std::uint64_t i = 0; i < 100; ++i) trials[i].divergence = 1 + (i % 2 == 0 ? 0.01 : -0.01);
  const CellSummary known = summarize_cell(spec_of(""), trials, {.most_trials = 100});
  EXPECT_TRUE(known.precise);
  EXPECT_EQ(known.trials, 24u);
  EXPECT_NEAR(known.divergence, 1, 0.01);
  for (auto& [number, trial] : trials) trial.divergence = number % 10 == 0 ? 10 : 0;
  EXPECT_EQ(summarize_cell(spec_of(""), trials, {.most_trials = 100}).trials, 100u);
  trials.erase(7);  // what comes after a gap does not count
  EXPECT_EQ(summarize_cell(spec_of(""), trials, {.most_trials = 100}).trials, 7u);
}

TEST_F(CampaignTest, FindsARateThatBreaksTheModel) {
  CampaignStore kept = store();
  Campaign campaign(kept, {.model = "tiny", .model_hash = "1"}, {});
  ASSERT_TRUE(campaign.open_workers(1, make).ok());
  const auto rate = campaign.survived(spec_of("field=all"), 1e-7, 1e-1);
  ASSERT_TRUE(rate.ok());
  EXPECT_LT(rate->low, rate->high);
  // The curve agrees: half a decade and more away it is nearly always whole or broken.
  const auto broken = [&](double at) {
    FaultSpec spec;
    spec.rate = at;
    int count = 0;
    for (std::uint64_t i = 1000; i < 1020; ++i)
      count += campaign.worker(0).trial(spec, i)->divergence > kBrokenDivergence;
    return count;
  };
  EXPECT_LT(broken(std::max(rate->low / 30, 1e-9)), 10);
  EXPECT_GT(broken(std::min(rate->high * 30, 0.3)), 10);
}

TEST(RateGrid, HasRoundRates) {
  const std::vector<double> rates = rate_grid(1e-6, 1e-4, 2);
  ASSERT_EQ(rates.size(), 5u);
  EXPECT_EQ(rates[0], 1e-6);
  EXPECT_EQ(rates[1], 3.16e-6);
  EXPECT_EQ(rates[4], 1e-4);
}

std::vector<std::uint8_t> made_up_bytes(std::size_t count) {
  Random random(12);
  std::vector<std::uint8_t> bytes(count);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random.next());
  return bytes;
}

TEST(CodeFaultsTest, MendsWhatItPromisesAndNothingIsSilent) {
  auto faults = CodeFaults::create(made_up_bytes(40 * 4096 + 100), CodeShape{});
  ASSERT_TRUE(faults.ok());
  const OutcomeCounts single = faults->run(spec_of("seed=1"), 0, 300);
  EXPECT_EQ(single[Outcome::corrected], 300u);
  const OutcomeCounts pair = faults->run(spec_of("seed=2 count=2"), 0, 300);
  EXPECT_EQ(pair[Outcome::corrected], 300u);
  for (const char* text : {"seed=3 page=4096", "seed=4 burst=100"}) {
    const OutcomeCounts lost = faults->run(spec_of(text), 0, 100);
    EXPECT_GT(lost[Outcome::corrected], 90u) << text;  // but for those that take the checks
    EXPECT_EQ(lost[Outcome::corrected] + lost[Outcome::detected], 100u) << text;
  }
  // Far more than the code can mend: told, never passed off as right.
  const OutcomeCounts many = faults->run(spec_of("seed=5 count=60"), 0, 100);
  EXPECT_EQ(many[Outcome::silent] + many[Outcome::benign], 0u);
  EXPECT_GT(many[Outcome::detected], 0u);
}

}  // namespace
}  // namespace checkbit
