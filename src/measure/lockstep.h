// One reference and many candidates over one window at a time: the inner loop of compare.h.
//
// What: reads each chunk of a window with the reference, then with every candidate, and compares
//   the rows on the threads that idle meanwhile. Scores are computed row by row in parallel and
//   added up in order, so that the figures do not depend on the threads.
// Errors: corrupt (reference's logits not finite), what a source returns, cancelled.
// Threads: one window at a time.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/progress.h"
#include "measure/compare.h"
#include "score/top_tokens.h"

namespace checkbit {

class Lockstep {
 public:
  /// Everything outlives the lockstep.
  Lockstep(std::span<LogitsSource* const> candidates, LogitsSource* reference,
           const CompareOptions& options, Progress& progress);

  /// Window `index` of the text.
  Status score_window(std::span<const TokenId> tokens, std::size_t index);

  struct Candidate {
    LogitsSource* source = nullptr;
    std::optional<std::string> broken;
    Aggregate aggregate;
    double forward_seconds = 0;
  };
  const std::vector<Candidate>& candidates() const { return candidates_; }
  bool all_broken() const;
  double reference_forward_seconds() const { return reference_seconds_; }
  double compare_seconds() const { return compare_seconds_; }

  /// Positions of a window that are scored: [first, last).
  static std::size_t first_scored(const CompareOptions& options) {
    return options.context_tokens / 2;
  }
  static std::size_t last_scored(const CompareOptions& options) {
    return options.context_tokens - 1;  // the last token is only predicted
  }

 private:
  Result<LogitsView> timed_read(LogitsSource& source, std::size_t at, std::size_t count,
                                bool scored, double& seconds);
  Status read_chunk(std::size_t at, std::size_t count, bool scored);
  Status compare_chunk(Candidate& candidate, const LogitsView& rows,
                       const LogitsView* reference_rows, std::size_t at);
  template <class F>
  void for_rows(LogitsSource& owner, std::size_t count, const F& f);
  std::string not_finite(const LogitsSource& source, std::size_t position) const;

  LogitsSource* reference_;
  const CompareOptions& options_;
  Progress& progress_;
  std::vector<Candidate> candidates_;
  std::size_t chunk_tokens_;
  std::size_t window_index_ = 0;
  std::vector<TokenId> window_;
  std::vector<TopTokens> reference_tops_;  ///< of the rows of a chunk
  std::vector<TokenScore> scores_;
  double reference_seconds_ = 0;
  double compare_seconds_ = 0;
};

}  // namespace checkbit
