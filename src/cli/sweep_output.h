// What `checkbit sweep` says: the points of each model, the fronts, the best under a size, the
// laws.
//
// Threads: one.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/console.h"
#include "measure/sweep/laws/law.h"
#include "measure/sweep/run_sweep.h"
#include "report/html.h"

namespace checkbit {

struct SweepFindings {
  std::vector<StoredModel> models;  ///< of this sweep, or all of the store
  std::vector<FittedLaw> laws;      ///< of all of the store
  std::optional<std::uint64_t> under_bytes;
  std::optional<SweepOutcome> outcome;
  std::string command;
};

void print_findings(const SweepFindings& findings, Console& console);
Report findings_as_report(const SweepFindings& findings);
std::string findings_as_json(const SweepFindings& findings);
/// The points as tables in Markdown, for documents.
std::string findings_as_markdown(const SweepFindings& findings);

/// "Q4_K_M, 83 MB: 0.021 nats", or why there is none.
std::string best_in_words(const StoredModel& model, std::uint64_t under_bytes);

}  // namespace checkbit
