// A measurement as people are told it: what was measured, and the sentences about it.
//
// What: `ComparisonStory` joins the figures of a run with facts about the files. From it come the
//   sentences below, the page (report.h), its charts (charts.h) and its tables (tables.h).
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "measure/compare.h"
#include "report/svg.h"

namespace checkbit {

/// What a reader wants to know about a model file. Only the name is needed.
struct ModelFacts {
  std::string name;                   ///< "smollm2-135m" or a file name
  std::uint64_t file_bytes = 0;       ///< 0: unknown
  double bits_per_weight = 0;         ///< 0: unknown
  std::vector<StackPart> type_bytes;  ///< bytes of each tensor type
  std::vector<StripRow> layer_bits;   ///< bits per weight: a row for each role; may be empty
  /// Speeds and memory, where measured: prompt_tokens_per_second, generation_tokens_per_second,
  /// peak_bytes.
  std::vector<Record> records;
};

/// A changed choice in words.
struct ChangedText {
  std::string before;
  std::string actual;
  std::string reference_choice;
  std::string choice;
  double reference_probability = 0;
  double probability = 0;
};

struct CandidateStory {
  ModelFacts facts;
  CandidateResult result;
  std::vector<ChangedText> examples;
  std::string command;  ///< reproduces the figures
};

struct ComparisonStory {
  std::vector<CandidateStory> candidates;  ///< at least one
  std::optional<ModelFacts> reference;
  RunSummary run;
  std::string text_name;                   ///< "wikitext2_valid.txt"
  std::vector<std::string> more_commands;  ///< of the page itself, where it took one of its own
  Environment environment;
};

/// One sentence: how a candidate's perplexity, divergence and choices changed, or just its
/// perplexity, or where it broke.
std::string describe_change(const ComparisonStory& story, const CandidateStory& candidate);
/// The verdict: of one candidate that sentence; of several which lost least and what the smallest
/// costs, and which are broken.
std::string describe_change(const ComparisonStory& story);
/// "4,080 tokens scored in 16 windows of 512"
std::string describe_windows(const RunSummary& run);
/// What stopping early spared; empty without.
std::string describe_early_stop(const RunSummary& run);

/// The candidates that are not broken, those that diverge least first (without a reference: of
/// the least perplexity).
std::vector<const CandidateStory*> ranked(const ComparisonStory& story);
/// Whether no other healthy candidate is as small and diverges as little, one of both less.
bool on_front(const ComparisonStory& story, const CandidateStory& candidate);

/// The record of a name, as to_records gives them. Precondition: it is among them.
Record record_named(const std::vector<Record>& records, const std::string& name);
/// The same of a candidate. Precondition: it is not broken.
Record figure_of(const CandidateStory& candidate, const std::string& name);
/// Numbers as words that do not break: "4.21 % ± 0.35".
std::string in_words(double value, const std::string& unit);
std::string in_words(const Record& record);
std::string in_words(const Estimate& estimate, const std::string& unit);

}  // namespace checkbit
