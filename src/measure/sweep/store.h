// Where sweeps keep what they measured: one SQLite file for any number of models and texts.
//
// What: a subject (model, text, length of windows) has scores per window for each candidate; a
//   candidate of a model has its size and its speed. A piece of work is claimed before it is done
//   and its rows appear together with the end of the claim: a killed run leaves finished rows only.
// Two runs over one store: each piece is done by one of them. A claim holds as long as the process
//   that made it lives on this machine; those of other machines for kForeignClaimSeconds.
// Errors: those of database.h; unsupported for a store of a later version.
// Threads: one thread per store; any number of processes.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "file/database.h"
#include "measure/sweep/candidate.h"

namespace checkbit {

inline constexpr std::int64_t kForeignClaimSeconds = 6 * 3600;

/// The model that candidates are made of and compared with.
struct SweepModel {
  std::string name;
  std::string hash;  ///< of the file's bytes
  std::uint64_t parameters = 0;
  std::uint64_t file_bytes = 0;
  double bits_per_weight = 0;
};

struct SweepSubject {
  SweepModel model;
  std::string text_name;
  std::string text_hash;  ///< of the text's bytes: the same for every model
  std::size_t context_tokens = 0;
};

/// Sums over the scored tokens of one window.
struct WindowScore {
  double tokens = 0;
  double loss = 0;  ///< negative log likelihood under the candidate
  double reference_loss = 0;
  double divergence = 0;
  double changed = 0;  ///< tokens where the two most likely next tokens differ
};

/// A window's sums and the bytes of text that its scored tokens stand for.
struct StoredWindow {
  WindowScore score;
  double text_bytes = 0;
};

/// Seconds to generate a token.
struct StoredSpeed {
  double median = 0;
  double low = 0;
  double high = 0;
};

struct StoredCandidate {
  SweepCandidate candidate;
  CandidateFile file;
  std::optional<StoredSpeed> speed;
  std::string broken;  ///< why it cannot be measured, or ""
  /// By text hash and window.
  std::map<std::pair<std::string, std::size_t>, StoredWindow> windows;
};

/// All that is known of one model with windows of one length.
struct StoredModel {
  SweepModel model;
  std::size_t context_tokens = 0;
  std::map<std::string, std::string> texts;  ///< names by hash
  std::vector<StoredCandidate> candidates;
};

/// Windows [first, first + count) of a text.
struct SweepPiece {
  std::string text_hash;
  std::size_t first = 0;
  std::size_t count = 0;
  bool operator==(const SweepPiece&) const = default;
};

/// What measuring a piece gave.
struct PieceResult {
  CandidateFile file;
  std::optional<StoredSpeed> speed;
  std::vector<StoredWindow> windows;  ///< count of them, or none when `broken`
  std::string broken;
  double make_seconds = 0;
  double window_seconds = 0;  ///< of one window
};

/// Means of what was measured of a model so far: what pieces will take.
struct PieceCosts {
  double make_seconds = 0;
  double window_seconds = 0;
};

class SweepStore {
 public:
  static Result<SweepStore> open(const std::string& path);

  const std::string& path() const { return database_.path(); }

  /// False: somebody else is doing it, or it has been done.
  Result<bool> claim(const SweepSubject& subject, const SweepCandidate& candidate,
                     const SweepPiece& piece);
  /// Ends a claim without a result.
  Status give_up(const SweepSubject& subject, const SweepCandidate& candidate,
                 const SweepPiece& piece);
  /// Rows of a claimed piece, and the end of the claim, in one transaction.
  Status finish(const SweepSubject& subject, const SweepCandidate& candidate,
                const SweepPiece& piece, const PieceResult& result);

  /// Everything in the store, models by parameters, candidates by size.
  Result<std::vector<StoredModel>> read();
  Result<std::optional<PieceCosts>> costs(const std::string& model_hash);

 private:
  explicit SweepStore(Database database) : database_(std::move(database)) {}
  Status add_candidate(const SweepSubject& subject, const SweepCandidate& candidate,
                       const PieceResult& result);
  Status add_windows(const SweepSubject& subject, const SweepCandidate& candidate,
                     const SweepPiece& piece, const PieceResult& result);
  Status end_claim(const std::string& key);
  Result<bool> is_finished(const SweepSubject& subject, const SweepCandidate& candidate,
                           const SweepPiece& piece);
  Status read_candidates(StoredModel& model);
  Status read_windows(StoredModel& model);

  Database database_;
};

namespace detail {
/// "HOST PID START": the process, unmistakable also when its number is used again.
std::string process_identity();
/// Whether the process of an identity of this machine still runs; nullopt for other machines.
std::optional<bool> is_alive(const std::string& identity);
}  // namespace detail

}  // namespace checkbit
