// The page of `checkbit measure --report`: what a measurement found, in words, figures and charts.
//
// What: builds a `Report` (report/html.h) from a story. Its tables are public, so that other pages
//   (demo_report.h) tell the same things the same way.
// Threads: pure functions.
#pragma once

#include <string>
#include <vector>

#include "measure/charts.h"
#include "measure/story.h"
#include "report/html.h"

namespace checkbit {

Report build_comparison_report(const ComparisonStory& story);

/// Of several candidates: size, divergence, changed choices and perplexity ratio, one a row.
Table candidate_table(const ComparisonStory& story);
/// Each candidate against the next better one, paired window by window; empty of rows where none
/// can be paired.
Table paired_table(const ComparisonStory& story);
/// Every record, one a row and a column for each candidate; records of the files name theirs.
std::vector<Table> all_figures(const ComparisonStory& story);
/// The commands that gave them, each once, the measurement's own first.
std::vector<std::string> all_commands(const ComparisonStory& story);

}  // namespace checkbit
