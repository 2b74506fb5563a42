// A running model that reads a text while faults happen, and how far it strays from what it said
// without them.
//
// What: the text is read once unharmed; a trial draws the faults of a spec, reads the text again
// with
//   them in place, takes them away, and compares logits: the same to the bit, or how far apart.
//   Faults of memory and of the cache happen before the token that the spec names; those of a
//   computation anywhere in the text.
// Divergence: Kullback-Leibler, unharmed to damaged, mean over tokens, in nats; of a token at most
//   kWorstDivergence, which also stands for logits that are not finite.
// Guard: with a level above off the session has a guard attached (live_guard.h) that does not walk
// by
//   itself. Faults happen just before they are read, the worst moment: products that do not add up
//   have their weights mended; the walk over all memory comes when the text has been read, and what
//   it finds was noticed, too late for this text. Faults of memory end mended, as all do.
// Scorer: what else is to be measured of the damaged model (the accuracy of a task); called while
//   faults of memory are in place, with the session's sequence empty.
// Errors: of the session; not_found when the spec selects nothing; cancelled.
// Threads: one per object; several objects may share one clean reading.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "guard/computation_faults.h"
#include "guard/memory_regions.h"
#include "guard/outcome.h"
#include "run/session.h"

namespace checkbit {

inline constexpr double kWorstDivergence = 20;

using SessionScorer = std::function<Result<double>(Session&)>;

struct CleanReading {
  std::vector<TokenId> text;
  std::vector<float> rows;  ///< [text][vocabulary]
  std::string hash;
  std::uint64_t checks = 0;  ///< comparisons that the guard made meanwhile
  std::optional<double> score;
};

struct TrialResult {
  Outcome outcome = Outcome::benign;
  std::uint64_t faults = 0;
  bool finite = true;
  double divergence = 0;
  double changed = 0;  ///< share of tokens after which another is the likeliest
  std::optional<double> score;
  std::uint64_t alarms = 0;
  std::uint64_t checks = 0;     ///< while the text was read
  bool skipped_checks = false;  ///< fewer than without faults: a failure of the guard
};

class DamagedSession {
 public:
  /// `session` has packed weights and room for the text. Without `clean` the text is read here.
  static Result<std::unique_ptr<DamagedSession>> create(
      Session session, std::vector<TokenId> text, SessionScorer scorer,
      std::shared_ptr<const CleanReading> clean = nullptr);

  Result<TrialResult> trial(const FaultSpec& spec, std::uint64_t number);

  const std::shared_ptr<const CleanReading>& clean() const { return clean_; }
  Session& session() { return session_; }

 private:
  DamagedSession(Session session, SessionScorer scorer)
      : session_(std::move(session)), scorer_(std::move(scorer)) {}
  Status read_clean(std::vector<TokenId> text);
  Status read(std::size_t begin, std::size_t end, const Session::RowCallback& row);
  Status read_damaged(const FaultSpec& spec, std::uint64_t number, TrialResult& result);
  Status inject(const FaultSpec& spec, std::uint64_t number, InjectedFaults& faults,
                TrialResult& result);
  Status record_computation(const FaultSpec& spec);
  bool is_refusal(const Error& error) const;
  GuardCounters counts() { return session_.executor().guard_counters(); }
  std::uint64_t noticed();

  Session session_;
  SessionScorer scorer_;
  std::shared_ptr<const CleanReading> clean_;
  std::optional<MemoryRegions> weights_;
  std::string space_of_;  ///< the selection that space_ holds
  std::optional<FaultSpace> space_;
  ComputationFaults computation_;
  std::string recorded_of_;
};

}  // namespace checkbit
