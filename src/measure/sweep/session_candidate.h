// A candidate's file as a session: its logits, and how long a token takes.
//
// Speed: after a short prompt, the median of single-token passes with its interval from order
//   statistics; passes while the machine is busy elsewhere count as they come.
// Errors: those of Session. Threads: as the session.
#pragma once

#include <memory>
#include <string>

#include "measure/session_source.h"
#include "measure/sweep/run_sweep.h"

namespace checkbit {

Result<std::unique_ptr<OpenCandidate>> open_session_candidate(const std::string& path,
                                                              const SessionOptions& options);

/// Median of times with its interval of at least 95 % (order statistics of a binomial); a single
/// value is its own interval. Precondition: not empty.
StoredSpeed median_speed(std::vector<double> seconds);

}  // namespace checkbit
