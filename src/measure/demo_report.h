// The page of `make demo`: one model, fitted into less memory, told to a stranger.
//
// What: the command fills a `DemoStory`; `build_demo_report` makes the Report. Parts left empty
//   (no answers, no speeds, no layer bits) leave out their section.
// Units: bytes, tokens/s, seconds.
// Threads: pure function.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "measure/report.h"

namespace checkbit {

/// The same prompt to both models, greedy.
struct AnswerPair {
  std::string prompt;
  std::string original;
  std::string fitted;
};

/// The fitted model ran while another process flipped bits in its memory.
struct HarmStory {
  std::uint64_t flips = 0;
  std::uint64_t repaired_bits = 0;
  std::uint64_t repaired_blocks = 0;
  double repair_p99_seconds = 0;
  std::string prompt;
  std::string unharmed;
  std::string damaged;
  bool same_logits = false;
};

struct DemoStory {
  std::string title_name;  ///< the model as people call it: "SmolLM2 135M"
  /// Its one candidate is the fitted file, `reference` the original.
  ComparisonStory comparison;
  std::vector<AnswerPair> answers;
  std::optional<HarmStory> harm;
  std::vector<std::string> commands;  ///< all steps of the demo, in order
  double demo_seconds = 0;            ///< 0: not said
};

/// Precondition: the comparison has one candidate, which is not broken, and a reference. Speeds are
/// taken from ModelFacts::records.
Report build_demo_report(const DemoStory& story);

}  // namespace checkbit
