// The charts of a measurement's page.
//
// What: each function gives the blocks of one question, or none when the story does not hold what
//   they need. Two candidates are drawn as curves, more as strips or rows.
// Threads: pure functions.
#pragma once

#include <vector>

#include "measure/story.h"
#include "report/html.h"

namespace checkbit {

/// Cards of one candidate: perplexity, ratio, divergence, changed choices.
Figures quality_figures(const ComparisonStory& story, const CandidateStory& candidate);
/// What a byte costs: size against divergence, for several candidates.
std::vector<Block> front_charts(const ComparisonStory& story);
/// Perplexity bars, changed choices and the divergence of all tokens.
std::vector<Block> quality_charts(const ComparisonStory& story);
/// By position in the window, token class and document.
std::vector<Block> place_charts(const ComparisonStory& story);
/// How often the choice stayed by how sure the original was.
std::vector<Block> sureness_charts(const ComparisonStory& story);
/// Changed choices side by side, in their context.
std::vector<Block> example_blocks(const ComparisonStory& story);
/// Bytes of each tensor type and bits of each layer.
std::vector<Block> size_charts(const ComparisonStory& story);

}  // namespace checkbit
