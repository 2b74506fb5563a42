// How likely a model finds each of several endings of one context.
//
// What: the sum of log-probabilities of an ending's tokens after its context, as tasks with answers
//   to choose from need it. Items share passes over the weights: what the endings of an item, and
//   all items, have in common at their start is evaluated once and forked, the rest goes in batches
//   of whole passes. Items that begin alike are read together, wherever they stand. The result is
//   the one that each ending alone would give, to the bit (docs/numerics.md), only sooner.
// Tokens: score/encoded_ending.h.
// Units: nats, tokens, bytes.
// Memory: caches of `cache_bytes` in all, at least one item's; max_logits rows of logits (the
//   session's). Grows with the requests by their tokens and results.
// Errors: invalid (no ending, an ending that has no tokens: number of the request), corrupt (logits
//   that are not finite: model and request), what the executor returns, cancelled.
// Threads: one call uses its session alone. The session's own sequence is left as it is.
// Reference: L. Gao et al., "A framework for few-shot language model evaluation", 2021.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "run/session.h"
#include "score/encoded_ending.h"

namespace checkbit {

struct EndingRequest {
  std::string context;
  std::vector<std::string> endings;  ///< with the space that parts them from the context
};

struct EndingScore {
  double log_probability = 0;
  std::size_t tokens = 0;
  std::size_t bytes = 0;  ///< of the ending as given
  bool greedy = false;    ///< each of its tokens is the most likely one
  bool operator==(const EndingScore&) const = default;
};

struct EndingOptions {
  std::uint64_t cache_bytes = std::uint64_t{128} << 20;
  std::string label = "scoring";  ///< of the progress
  /// For tests and measurements of speed: every ending evaluated from its start, by itself.
  bool one_by_one = false;
};

/// Called for each request in order, as soon as it and those before it are known.
using EndingCallback =
    std::function<Status(std::size_t request, std::span<const EndingScore> endings)>;

/// Scores of requests[i].endings, in order, for each i. The session should be opened with
/// kEndingLogits rows of logits or more; with fewer it is slower and the same.
Status score_endings(Session& session, std::span<const EndingRequest> requests,
                     const EndingOptions& options, const EndingCallback& done);

/// The same, all at once.
Result<std::vector<std::vector<EndingScore>>> score_endings(Session& session,
                                                            std::span<const EndingRequest> requests,
                                                            const EndingOptions& options = {});

/// A good SessionOptions::max_logits for this.
inline constexpr std::int64_t kEndingLogits = 96;

}  // namespace checkbit
