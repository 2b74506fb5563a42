// The page of `checkbit measure --html`: what a comparison found, in words, figures and charts.
//
// What: builds a `Report` (report/html.h) from a ComparisonResult and facts about the two files.
//   The pieces are public, so that other pages (demo_report.h) tell the same things the same way.
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "measure/compare.h"
#include "report/html.h"
#include "report/svg.h"

namespace checkbit {

/// What a reader wants to know about a model file. Only the name is needed.
struct ModelFacts {
  std::string name;                   ///< "smollm2-135m" or a file name
  std::uint64_t file_bytes = 0;       ///< 0: unknown
  double bits_per_weight = 0;         ///< 0: unknown
  std::vector<StackPart> type_bytes;  ///< bytes of each tensor type
  /// Speeds and memory, where measured: prompt_tokens_per_second, generation_tokens_per_second,
  /// peak_bytes.
  std::vector<Record> records;
};

struct ComparisonStory {
  ModelFacts model;
  std::optional<ModelFacts> reference;  ///< as the result: both or neither
  ComparisonResult result;
  std::string text_name;             ///< "wikitext2_valid.txt"
  std::vector<StripRow> layer_bits;  ///< bits per weight: a row for each role; may be empty
  std::string command;               ///< reproduces the figures
  Environment environment;
};

Report build_comparison_report(const ComparisonStory& story);

/// The records of a result by name, as to_records gives them. Precondition: it is among them.
Record record_named(const std::vector<Record>& records, const std::string& name);

/// One sentence: how perplexity, divergence and choices changed, or just the perplexity.
std::string describe_change(const ComparisonStory& story);

/// Cards of perplexity, divergence and changed choices.
Figures quality_figures(const ComparisonStory& story);
/// Perplexity bars and the divergence of all tokens.
std::vector<Block> quality_charts(const ComparisonStory& story);
/// Bytes of each tensor type and bits of each layer; empty when neither is known.
std::vector<Block> size_charts(const ComparisonStory& story);
/// Every record of both, one a row; records of the files name theirs.
Table all_figures(const ComparisonStory& story);
/// The commands that gave them, each once, the story's own first.
std::vector<std::string> all_commands(const ComparisonStory& story);

}  // namespace checkbit
