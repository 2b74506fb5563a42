// The page of `checkbit sweep --report`: which sizes are worth having, and what the laws say.
//
// What: for each model the fronts of size and of time against damage with intervals, a table of
//   all candidates; then each law with its parameters and findings.
// Threads: pure functions.
#pragma once

#include <string>
#include <vector>

#include "measure/sweep/laws/law.h"
#include "report/html.h"

namespace checkbit {

struct SweepStory {
  std::vector<StoredModel> models;
  std::vector<FittedLaw> laws;
  std::vector<std::string> verdicts;  ///< sentences, such as the best under a size
  std::string command;
  Environment environment;
};

Report build_sweep_report(const SweepStory& story);

/// Rows of the candidates that could be measured, under kSweepColumns; `front` is marked * for
/// candidates on it and ~ for those not told apart from it.
extern const std::vector<std::string> kSweepColumns;
std::vector<std::vector<std::string>> sweep_rows(const StoredModel& model);

/// "smollm2-135m (98.4 MB, 5.84 bits per weight), book.txt, windows of 512".
std::string sweep_title(const StoredModel& model);

/// The point of a candidate; null when it could not be measured.
const SweepPoint* point_named(const std::vector<SweepPoint>& points, const std::string& name);

/// "0.021 ± 0.003".
std::string print_estimate(const Estimate& estimate, const std::string& unit);

}  // namespace checkbit
