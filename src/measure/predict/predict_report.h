// What `checkbit predict` says: one sentence, tables, and a page with charts.
//
// Threads: pure functions.
#pragma once

#include <string>
#include <vector>

#include "measure/predict/evaluate.h"
#include "report/html.h"

namespace checkbit {

/// A window among those likeliest to break, with its text.
struct ShownWindow {
  WindowResult result;
  std::string text;
};

struct PredictionStory {
  PredictionResult result;
  std::string model;  ///< file names, for people
  std::string reference;
  std::string text_name;
  std::vector<ShownWindow> shown;  ///< held-out windows, likeliest to break first
  std::string command;
  Environment environment;
};

/// One sentence: what fails, and how well it is foretold.
std::string describe_prediction(const PredictionStory& story);
/// A row for each predictor: area, gain over the baseline, calibration error.
Table predictor_table(const TargetResult& target);
/// Those proven, at most `limit`.
Table subgroup_table(const SubgroupSearch& search, std::size_t limit);
Table window_table(const PredictionStory& story);
Report build_prediction_report(const PredictionStory& story);

}  // namespace checkbit
