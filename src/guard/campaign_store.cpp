#include "guard/campaign_store.h"

#include <algorithm>

namespace checkbit {
namespace {

constexpr std::int64_t kVersion = 1;

constexpr const char* kTables = R"(
CREATE TABLE IF NOT EXISTS setting(
  key TEXT PRIMARY KEY, model TEXT NOT NULL, model_hash TEXT NOT NULL, format TEXT NOT NULL,
  guard TEXT NOT NULL, text_hash TEXT NOT NULL, scorer TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS trial(
  setting TEXT NOT NULL REFERENCES setting, spec TEXT NOT NULL, number INTEGER NOT NULL,
  outcome INTEGER NOT NULL, faults INTEGER NOT NULL, finite INTEGER NOT NULL,
  divergence REAL NOT NULL, changed REAL NOT NULL, score REAL, alarms INTEGER NOT NULL,
  checks INTEGER NOT NULL, skipped INTEGER NOT NULL, PRIMARY KEY(setting, spec, number));
)";

constexpr double kNoScore = -1;  // scores are shares

}  // namespace

std::string CampaignSetting::key() const {
  return fmt::format("{} {} {} {}", model_hash, guard, text_hash, scorer);
}

Result<CampaignStore> CampaignStore::open(const std::string& path) {
  CB_TRY(Database database, Database::open(path));
  // A trial takes less than the disk does to make sure of it: a lost one is made again.
  CB_TRY_STATUS(database.run("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL"));
  CB_TRY_STATUS(database.prepare_tables(kTables, kVersion));
  return CampaignStore(std::move(database));
}

Status CampaignStore::add(const CampaignSetting& setting, const std::string& spec,
                          std::uint64_t number, const TrialResult& result) {
  CB_TRY(Transaction transaction, Transaction::begin(database_));
  {
    CB_TRY(Statement insert,
           database_.prepare("INSERT OR IGNORE INTO setting VALUES(?, ?, ?, ?, ?, ?, ?)"));
    insert.bind(setting.key()).bind(setting.model).bind(setting.model_hash).bind(setting.format);
    CB_TRY_STATUS(insert.bind(setting.guard).bind(setting.text_hash).bind(setting.scorer).run());
    CB_TRY(Statement trial, database_.prepare("INSERT OR REPLACE INTO trial VALUES"
                                              "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
    const auto whole = [](auto value) { return static_cast<std::int64_t>(value); };
    trial.bind(setting.key()).bind(spec).bind(whole(number)).bind(whole(result.outcome));
    trial.bind(whole(result.faults)).bind(whole(result.finite));
    trial.bind(result.divergence).bind(result.changed).bind(result.score.value_or(kNoScore));
    trial.bind(whole(result.alarms)).bind(whole(result.checks));
    CB_TRY_STATUS(trial.bind(whole(result.skipped_checks)).run());
  }
  return transaction.commit();
}

Status CampaignStore::read_trials(StoredTrials& stored) {
  CB_TRY(Statement rows,
         database_.prepare("SELECT spec, number, outcome, faults, finite, divergence, changed, "
                           "score, alarms, checks, skipped FROM trial WHERE setting = ?"));
  rows.bind(stored.setting.key());
  const auto count = [&](int column) { return static_cast<std::uint64_t>(rows.integer(column)); };
  while (true) {
    CB_TRY(const bool row, rows.step());
    if (!row) return {};
    TrialResult result{.outcome = static_cast<Outcome>(count(2) % kOutcomes),
                       .faults = count(3),
                       .finite = count(4) != 0,
                       .divergence = rows.number(5),
                       .changed = rows.number(6),
                       .score = std::nullopt,
                       .alarms = count(8),
                       .checks = count(9),
                       .skipped_checks = count(10) != 0};
    if (rows.number(7) >= 0) result.score = rows.number(7);
    stored.trials[rows.text(0)][count(1)] = result;
  }
}

Result<StoredTrials> CampaignStore::read(const CampaignSetting& setting) {
  StoredTrials stored{.setting = setting, .trials = {}};
  CB_TRY_STATUS(read_trials(stored));
  return stored;
}

Result<std::vector<StoredTrials>> CampaignStore::read_all() {
  std::vector<StoredTrials> all;
  {
    CB_TRY(Statement rows,
           database_.prepare("SELECT model, model_hash, format, guard, text_hash, scorer FROM "
                             "setting ORDER BY model, guard, scorer"));
    while (true) {
      CB_TRY(const bool row, rows.step());
      if (!row) break;
      all.push_back({.setting = {.model = rows.text(0),
                                 .model_hash = rows.text(1),
                                 .format = rows.text(2),
                                 .guard = rows.text(3),
                                 .text_hash = rows.text(4),
                                 .scorer = rows.text(5)},
                     .trials = {}});
    }
  }
  for (StoredTrials& stored : all) CB_TRY_STATUS(read_trials(stored));
  return all;
}

}  // namespace checkbit
