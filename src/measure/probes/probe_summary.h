// What the scores of a probe come to: shares, paired differences, intervals, records, a page.
//
// What: one figure for the whole probe and one for each group. The interval redraws clusters of
//   items, the same ones for both models, so the difference is paired. When no redraw could differ
//   (all right, all wrong, no item changed) the bootstrap says nothing; Wilson's bound over the
//   clusters takes its place.
// Records: probe_NAME, probe_NAME_GROUP (share), and with a reference each also with _reference
//   and _difference (model minus reference), the whole also _p_value.
// Threads: pure functions.
// Reference: score/statistics.h, score/paired_tests.h.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "measure/probes/probe.h"
#include "score/statistics.h"

namespace checkbit {

struct ProbeFigure {
  std::string group;  ///< "": all items
  std::size_t items = 0;
  Estimate subject;
  std::optional<Estimate> reference;
  std::optional<Estimate> difference;
  /// Chance alone would split the clusters that differ as unevenly: mid-p of the sign test, which
  /// for single items that are right or wrong is McNemar's.
  std::optional<double> p_value;
};

/// The whole first, then groups in order of their first item; nothing without items.
std::vector<ProbeFigure> summarize_probe(const ProbeResult& result);

/// Mean of one value per item, redrawn by the items' clusters: for probes that measure something
/// beside the score. Values lie in [low, 1]. Precondition: equal sizes, not empty.
Estimate estimate_mean(std::span<const std::size_t> clusters, std::span<const double> values,
                       double low = 0);

/// "probe_NAME", or with a group "probe_NAME_the_group".
std::string record_name(std::string_view probe, std::string_view group);
Record share_record(std::string name, const Estimate& estimate);

/// Means of `values[index]` by group, of both models.
Table value_table(const ProbeResult& result, std::size_t index, const std::string& unit,
                  std::string caption);

/// Those of the figures, then the result's own; all with `command`.
std::vector<Record> probe_records(const Probe& probe, const ProbeResult& result,
                                  const std::string& command);

/// Items whose score differs most between the two models, at most `count`, worst losses first.
std::vector<std::size_t> changed_items(const ProbeResult& result, std::size_t count);

/// One sentence: how the model does, and against its reference.
std::string describe_probe(const Probe& probe, const ProbeResult& result);

struct ProbeStory {
  const Probe* probe = nullptr;
  ProbeResult result;
};

/// The page of `checkbit probe --report`. `reference` is "" when there is none.
Report build_probe_report(const std::vector<ProbeStory>& stories, const std::string& model,
                          const std::string& reference, const std::string& command);

}  // namespace checkbit
