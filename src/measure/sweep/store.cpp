#include "measure/sweep/store.h"

#include <algorithm>
#include <chrono>

namespace checkbit {
namespace {

constexpr std::int64_t kVersion = 1;

constexpr const char* kTables = R"(
CREATE TABLE IF NOT EXISTS model(
  hash TEXT PRIMARY KEY, name TEXT NOT NULL, parameters INTEGER NOT NULL,
  file_bytes INTEGER NOT NULL, bits_per_weight REAL NOT NULL);
CREATE TABLE IF NOT EXISTS text(hash TEXT PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS candidate(
  model TEXT NOT NULL REFERENCES model, name TEXT NOT NULL, method TEXT NOT NULL,
  expected_bits REAL NOT NULL, emulated INTEGER NOT NULL, exponent_bits INTEGER NOT NULL,
  mantissa_bits INTEGER NOT NULL, block INTEGER NOT NULL, file_bytes INTEGER NOT NULL,
  bits_per_weight REAL NOT NULL, note TEXT NOT NULL, broken TEXT NOT NULL,
  PRIMARY KEY(model, name));
CREATE TABLE IF NOT EXISTS speed(
  model TEXT NOT NULL, candidate TEXT NOT NULL, median REAL NOT NULL, low REAL NOT NULL,
  high REAL NOT NULL, PRIMARY KEY(model, candidate));
CREATE TABLE IF NOT EXISTS window(
  model TEXT NOT NULL, candidate TEXT NOT NULL, text TEXT NOT NULL, context INTEGER NOT NULL,
  number INTEGER NOT NULL, tokens REAL NOT NULL, loss REAL NOT NULL, reference_loss REAL NOT NULL,
  divergence REAL NOT NULL, changed REAL NOT NULL, text_bytes REAL NOT NULL,
  PRIMARY KEY(model, candidate, text, context, number));
CREATE TABLE IF NOT EXISTS cost(
  model TEXT NOT NULL, make_seconds REAL NOT NULL, window_seconds REAL NOT NULL);
CREATE TABLE IF NOT EXISTS claim(
  piece TEXT PRIMARY KEY, owner TEXT NOT NULL, since INTEGER NOT NULL);
)";

std::int64_t now_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string claim_key(const SweepSubject& subject, const SweepCandidate& candidate,
                      const SweepPiece& piece) {
  return fmt::format("{} {} {} {} {} {}", subject.model.hash, piece.text_hash,
                     subject.context_tokens, piece.first, piece.count, candidate.name);
}

std::int64_t whole(std::uint64_t value) { return static_cast<std::int64_t>(value); }

SweepCandidate candidate_of(const Statement& row) {
  return {.name = row.text(1),
          .method = row.text(2),
          .expected_bits = row.number(3),
          .emulated = row.integer(4) != 0,
          .exponent_bits = static_cast<int>(row.integer(5)),
          .mantissa_bits = static_cast<int>(row.integer(6)),
          .block = static_cast<int>(row.integer(7))};
}

}  // namespace

Result<SweepStore> SweepStore::open(const std::string& path) {
  CB_TRY(Database database, Database::open(path));
  CB_TRY_STATUS(database.prepare_tables(kTables, kVersion));
  return SweepStore(std::move(database));
}

Result<bool> SweepStore::is_finished(const SweepSubject& subject, const SweepCandidate& candidate,
                                     const SweepPiece& piece) {
  CB_TRY(Statement broken,
         database_.prepare("SELECT broken FROM candidate WHERE model = ? AND name = ?"));
  broken.bind(subject.model.hash).bind(candidate.name);
  CB_TRY(const bool known, broken.step());
  if (known && !broken.text(0).empty()) return true;
  CB_TRY(Statement windows,
         database_.prepare("SELECT count(*) FROM window WHERE model = ? AND candidate = ? AND "
                           "text = ? AND context = ? AND number >= ? AND number < ?"));
  windows.bind(subject.model.hash)
      .bind(candidate.name)
      .bind(piece.text_hash)
      .bind(whole(subject.context_tokens))
      .bind(whole(piece.first))
      .bind(whole(piece.first + piece.count));
  CB_TRY(const bool row, windows.step());
  return row && windows.integer(0) == whole(piece.count);
}

Result<bool> SweepStore::claim(const SweepSubject& subject, const SweepCandidate& candidate,
                               const SweepPiece& piece) {
  CB_TRY(Transaction transaction, Transaction::begin(database_));
  CB_TRY(const bool finished, is_finished(subject, candidate, piece));
  if (finished) return false;
  const std::string key = claim_key(subject, candidate, piece);
  {
    CB_TRY(Statement other, database_.prepare("SELECT owner, since FROM claim WHERE piece = ?"));
    other.bind(key);
    CB_TRY(const bool claimed, other.step());
    if (claimed) {
      const std::optional<bool> alive = detail::is_alive(other.text(0));
      const bool holds = alive.value_or(now_seconds() - other.integer(1) < kForeignClaimSeconds);
      if (holds) return false;
    }
  }
  CB_TRY(Statement insert,
         database_.prepare("INSERT OR REPLACE INTO claim(piece, owner, since) VALUES(?, ?, ?)"));
  CB_TRY_STATUS(insert.bind(key).bind(detail::process_identity()).bind(now_seconds()).run());
  CB_TRY_STATUS(transaction.commit());
  return true;
}

Status SweepStore::end_claim(const std::string& key) {
  CB_TRY(Statement remove, database_.prepare("DELETE FROM claim WHERE piece = ?"));
  return remove.bind(key).run();
}

Status SweepStore::give_up(const SweepSubject& subject, const SweepCandidate& candidate,
                           const SweepPiece& piece) {
  return end_claim(claim_key(subject, candidate, piece));
}

Status SweepStore::add_candidate(const SweepSubject& subject, const SweepCandidate& candidate,
                                 const PieceResult& result) {
  const SweepModel& model = subject.model;
  CB_TRY(Statement models, database_.prepare("INSERT OR IGNORE INTO model VALUES(?, ?, ?, ?, ?)"));
  models.bind(model.hash).bind(model.name).bind(whole(model.parameters));
  CB_TRY_STATUS(models.bind(whole(model.file_bytes)).bind(model.bits_per_weight).run());
  CB_TRY(Statement insert, database_.prepare("INSERT OR REPLACE INTO candidate VALUES"
                                             "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  insert.bind(model.hash).bind(candidate.name).bind(candidate.method).bind(candidate.expected_bits);
  insert.bind(std::int64_t{candidate.emulated}).bind(std::int64_t{candidate.exponent_bits});
  insert.bind(std::int64_t{candidate.mantissa_bits}).bind(std::int64_t{candidate.block});
  insert.bind(whole(result.file.file_bytes)).bind(result.file.bits_per_weight);
  CB_TRY_STATUS(insert.bind(result.file.note).bind(result.broken).run());
  if (!result.speed.has_value()) return {};
  CB_TRY(Statement speed, database_.prepare("INSERT OR REPLACE INTO speed VALUES(?, ?, ?, ?, ?)"));
  speed.bind(model.hash).bind(candidate.name).bind(result.speed->median);
  return speed.bind(result.speed->low).bind(result.speed->high).run();
}

Status SweepStore::add_windows(const SweepSubject& subject, const SweepCandidate& candidate,
                               const SweepPiece& piece, const PieceResult& result) {
  for (std::size_t i = 0; i < result.windows.size(); ++i) {
    const StoredWindow& window = result.windows[i];
    CB_TRY(Statement insert, database_.prepare("INSERT OR REPLACE INTO window VALUES"
                                               "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
    insert.bind(subject.model.hash).bind(candidate.name).bind(piece.text_hash);
    insert.bind(whole(subject.context_tokens)).bind(whole(piece.first + i));
    insert.bind(window.score.tokens).bind(window.score.loss).bind(window.score.reference_loss);
    insert.bind(window.score.divergence).bind(window.score.changed);
    CB_TRY_STATUS(insert.bind(window.text_bytes).run());
  }
  return {};
}

Status SweepStore::finish(const SweepSubject& subject, const SweepCandidate& candidate,
                          const SweepPiece& piece, const PieceResult& result) {
  CB_CHECK(result.windows.size() == (result.broken.empty() ? piece.count : 0));
  CB_TRY(Transaction transaction, Transaction::begin(database_));
  CB_TRY_STATUS(add_candidate(subject, candidate, result));
  CB_TRY(Statement texts, database_.prepare("INSERT OR IGNORE INTO text VALUES(?, ?)"));
  CB_TRY_STATUS(texts.bind(piece.text_hash).bind(subject.text_name).run());
  CB_TRY_STATUS(add_windows(subject, candidate, piece, result));
  if (result.broken.empty()) {
    CB_TRY(Statement cost, database_.prepare("INSERT INTO cost VALUES(?, ?, ?)"));
    cost.bind(subject.model.hash).bind(result.make_seconds);
    CB_TRY_STATUS(cost.bind(result.window_seconds).run());
  }
  CB_TRY_STATUS(end_claim(claim_key(subject, candidate, piece)));
  return transaction.commit();
}

Result<std::optional<PieceCosts>> SweepStore::costs(const std::string& model_hash) {
  CB_TRY(Statement means, database_.prepare("SELECT count(*), avg(make_seconds), "
                                            "avg(window_seconds) FROM cost WHERE model = ?"));
  means.bind(model_hash);
  CB_TRY(const bool row, means.step());
  if (!row || means.integer(0) == 0) return std::optional<PieceCosts>();
  return std::optional(PieceCosts{means.number(1), means.number(2)});
}

Status SweepStore::read_candidates(StoredModel& model) {
  CB_TRY(Statement rows,
         database_.prepare("SELECT candidate.*, median, low, high FROM candidate LEFT JOIN speed "
                           "ON speed.model = candidate.model AND speed.candidate = name WHERE "
                           "candidate.model = ? ORDER BY file_bytes, name"));
  rows.bind(model.model.hash);
  while (true) {
    CB_TRY(const bool row, rows.step());
    if (!row) return {};
    StoredCandidate stored{.candidate = candidate_of(rows),
                           .file = {.file_bytes = static_cast<std::uint64_t>(rows.integer(8)),
                                    .bits_per_weight = rows.number(9),
                                    .note = rows.text(10)},
                           .speed = std::nullopt,
                           .broken = rows.text(11),
                           .windows = {}};
    if (rows.number(12) > 0)
      stored.speed = StoredSpeed{rows.number(12), rows.number(13), rows.number(14)};
    model.candidates.push_back(std::move(stored));
  }
}

Status SweepStore::read_windows(StoredModel& model) {
  CB_TRY(Statement rows,
         database_.prepare("SELECT candidate, text, number, tokens, loss, reference_loss, "
                           "divergence, changed, text_bytes, text.name FROM window "
                           "JOIN text ON text.hash = window.text WHERE model = ? AND context = ?"));
  rows.bind(model.model.hash).bind(whole(model.context_tokens));
  while (true) {
    CB_TRY(const bool row, rows.step());
    if (!row) return {};
    const auto candidate =
        std::ranges::find(model.candidates, rows.text(0),
                          [](const StoredCandidate& stored) { return stored.candidate.name; });
    if (candidate == model.candidates.end()) continue;
    model.texts[rows.text(1)] = rows.text(9);
    candidate->windows[{rows.text(1), static_cast<std::size_t>(rows.integer(2))}] = {
        .score = {.tokens = rows.number(3),
                  .loss = rows.number(4),
                  .reference_loss = rows.number(5),
                  .divergence = rows.number(6),
                  .changed = rows.number(7)},
        .text_bytes = rows.number(8)};
  }
}

Result<std::vector<StoredModel>> SweepStore::read() {
  CB_TRY(const Transaction transaction, Transaction::begin_reading(database_));
  std::vector<StoredModel> models;
  CB_TRY(Statement list,
         database_.prepare("SELECT DISTINCT model.hash, model.name, parameters, file_bytes, "
                           "bits_per_weight, context FROM model JOIN window ON "
                           "window.model = model.hash ORDER BY parameters, model.name, context"));
  while (true) {
    CB_TRY(const bool row, list.step());
    if (!row) break;
    models.push_back({.model = {.name = list.text(1),
                                .hash = list.text(0),
                                .parameters = static_cast<std::uint64_t>(list.integer(2)),
                                .file_bytes = static_cast<std::uint64_t>(list.integer(3)),
                                .bits_per_weight = list.number(4)},
                      .context_tokens = static_cast<std::size_t>(list.integer(5)),
                      .texts = {},
                      .candidates = {}});
  }
  for (StoredModel& model : models) {
    CB_TRY_STATUS(read_candidates(model));
    CB_TRY_STATUS(read_windows(model));
  }
  return models;
}

}  // namespace checkbit
