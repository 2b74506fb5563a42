// What two models did differently on the items of a task: right before and wrong after, and the
// reverse.
//
// What: "before" is the reference (the model before it was quantized or updated), "after" the model
//   under test. A negative flip was right and is wrong, a positive flip was wrong and is right; a
//   changed mistake is wrong both times, but otherwise. Shares are of all items.
// Errors: none. Precondition: both results are of one task and the same items (CB_CHECK).
// Threads: pure functions.
// Reference: R. Schumann et al., "Backward Compatibility During Data Updates by Weight
//   Interpolation"; J. Echterhoff et al., "MUSCLE: A Model Update Strategy for Compatible LLM
//   Evolution" (negative flips; inconsistency of answers that are both wrong).
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "measure/tasks/run_task.h"
#include "score/paired_tests.h"

namespace checkbit {

/// By one measure of the task; indices into TaskResult::items.
struct Flips {
  std::string measure;
  std::size_t items = 0;
  std::size_t right_before = 0;
  std::size_t right_after = 0;
  std::vector<std::size_t> negative;
  std::vector<std::size_t> positive;
  std::vector<std::size_t> changed_mistakes;

  McNemar test() const { return mcnemar_test(positive.size(), negative.size()); }
  /// After minus before.
  double difference() const;
  Interval difference_interval() const;
};

/// One for each measure of the task.
std::vector<Flips> find_flips(const TaskResult& reference, const TaskResult& model);

/// accuracy_reference, accuracy_difference, flips_negative, flips_positive, flips_mistakes,
/// mcnemar_p, mcnemar_mid_p of the first measure; of the others the same names with what their
/// measure's name adds to "accuracy".
std::vector<Record> to_records(const std::vector<Flips>& flips, const std::string& command);

}  // namespace checkbit
