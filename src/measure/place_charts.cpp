// Where a candidate diverges: by position, class and document; and how sure the original was.

#include <fmt/format.h>

#include <algorithm>

#include "measure/charts.h"
#include "report/number.h"
#include "score/estimate_record.h"

namespace checkbit {
namespace {

using Groups = std::vector<GroupFigures> DivergenceResult::*;
using Candidates = std::vector<const CandidateStory*>;

constexpr std::size_t kMostLines = 2;
constexpr std::size_t kMostDocuments = 10;
const char* const kRelative =
    "Each row is one model, relative to its own mean: where it diverges more, not how much.";

/// Healthy candidates with these figures.
Candidates with_groups(const ComparisonStory& story, Groups groups) {
  Candidates wanted;
  for (const CandidateStory* candidate : ranked(story)) {
    const auto& divergence = candidate->result.divergence;
    if (divergence && !((*divergence).*groups).empty()) wanted.push_back(candidate);
  }
  return wanted;
}

std::vector<double> divergences(const CandidateStory& candidate, Groups groups) {
  std::vector<double> values;
  for (const GroupFigures& group : (*candidate.result.divergence).*groups) {
    values.push_back(group.divergence.value);
  }
  return values;
}

std::vector<StripRow> relative_rows(const Candidates& candidates, Groups groups) {
  std::vector<StripRow> rows;
  for (const CandidateStory* candidate : candidates) {
    StripRow row{candidate->facts.name, {}};
    const double mean = candidate->result.divergence->mean.value;
    for (const double value : divergences(*candidate, groups)) {
      row.values.push_back(mean > 0 ? value / mean : 1);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

Chart position_chart(const Candidates& candidates) {
  constexpr Groups kGroups = &DivergenceResult::by_position;
  const auto& first = candidates.front()->result.divergence->by_position;
  Chart chart{.title = "By position in the window", .body = "", .caption = ""};
  const std::string begin = "token " + first.front().name;
  const std::string end = "token " + first.back().name;
  if (candidates.size() > kMostLines) {
    chart.body = svg_strips(relative_rows(candidates, kGroups), "", begin, end);
    chart.caption = kRelative;
    return chart;
  }
  std::vector<Line> lines;
  for (const CandidateStory* candidate : candidates) {
    lines.push_back({.label = candidate->facts.name,
                     .values = divergences(*candidate, kGroups),
                     .tone = lines.empty() ? Tone::accent : Tone::contrast});
  }
  chart.body = svg_lines(lines, begin, end, /*from_zero=*/true);
  chart.caption =
      "Mean divergence in nats. A line that rises says that the loss adds up over a long context; "
      "a flat one that it does not.";
  return chart;
}

std::vector<Bar> group_bars(const std::vector<GroupFigures>& groups) {
  std::vector<Bar> bars;
  for (const GroupFigures& group : groups) {
    const std::string label =
        fmt::format("{} ({} tokens, {} changed)", group.name, in_words(group.tokens, ""),
                    in_words(group.changed.value, "share"));
    bars.push_back(bar_of(record_of("", "nats", group.divergence), label, Tone::accent));
    bars.back().text = in_words(group.divergence, "nats");
  }
  return bars;
}

Table group_table(const Candidates& candidates, Groups groups, const std::string& caption) {
  Table table{.caption = caption, .columns = {"Model"}, .rows = {}};
  for (const GroupFigures& group : (*candidates.front()->result.divergence).*groups) {
    table.columns.push_back(group.name);
  }
  for (const CandidateStory* candidate : candidates) {
    std::vector<std::string> row = {candidate->facts.name};
    for (const GroupFigures& group : (*candidate->result.divergence).*groups) {
      row.push_back(in_words(group.divergence.value, ""));
    }
    row.resize(table.columns.size());
    table.rows.push_back(std::move(row));
  }
  return table;
}

Block class_block(const Candidates& candidates) {
  if (candidates.size() == 1) {
    return Chart{"By kind of token",
                 svg_bars(group_bars(candidates.front()->result.divergence->by_class)),
                 "Mean divergence of the predictions of such tokens."};
  }
  return group_table(candidates, &DivergenceResult::by_class,
                     "Mean divergence by kind of token, in nats");
}

/// The documents that the candidate diverges most on.
Block document_block(const CandidateStory& candidate, bool alone) {
  std::vector<GroupFigures> documents = candidate.result.divergence->by_document;
  const std::size_t all = documents.size();
  std::ranges::stable_sort(documents, std::ranges::greater(),
                           [](const GroupFigures& g) { return g.divergence.value; });
  documents.resize(std::min(documents.size(), kMostDocuments));
  Chart chart{.title = "By document", .body = svg_bars(group_bars(documents)), .caption = ""};
  if (!alone) chart.title += ": " + candidate.facts.name;
  chart.caption = all > documents.size()
                      ? fmt::format("The {} of {} documents where the mean divergence is largest.",
                                    documents.size(), all)
                      : "Mean divergence, the largest first.";
  return chart;
}

std::vector<Bar> sureness_bars(const std::vector<SurenessBin>& bins) {
  std::vector<Bar> bars;
  for (const SurenessBin& bin : bins) {
    bars.push_back({.label = fmt::format("{:.0f} to {:.0f} % ({} tokens, {} → {})", 100 * bin.low,
                                         100 * bin.high, in_words(bin.tokens, ""),
                                         in_words(bin.reference_probability, "share"),
                                         in_words(bin.probability, "share")),
                    .value = bin.kept,
                    .low = std::nullopt,
                    .high = std::nullopt,
                    .text = in_words(bin.kept, "share") + " kept",
                    .tone = Tone::accent});
  }
  return bars;
}

}  // namespace

std::vector<Block> place_charts(const ComparisonStory& story) {
  std::vector<Block> blocks;
  const Candidates positions = with_groups(story, &DivergenceResult::by_position);
  if (!positions.empty() && positions.front()->result.divergence->by_position.size() > 1) {
    blocks.emplace_back(position_chart(positions));
  }
  const Candidates classes = with_groups(story, &DivergenceResult::by_class);
  if (!classes.empty()) blocks.emplace_back(class_block(classes));
  const Candidates documents = with_groups(story, &DivergenceResult::by_document);
  if (!documents.empty()) {
    blocks.emplace_back(document_block(*documents.back(), documents.size() == 1));
  }
  return blocks;
}

std::vector<Block> sureness_charts(const ComparisonStory& story) {
  std::vector<Block> blocks;
  for (const CandidateStory* candidate : ranked(story)) {
    const auto& divergence = candidate->result.divergence;
    if (!divergence || divergence->by_sureness.empty()) continue;
    Chart chart{.title = "How sure the original was, and how often its choice stayed",
                .body = svg_bars(sureness_bars(divergence->by_sureness), /*full=*/1),
                .caption =
                    "Tokens by the probability that the original gave its own choice, and what the "
                    "candidate gives the same token on average."};
    if (story.candidates.size() > 1) chart.title += ": " + candidate->facts.name;
    blocks.emplace_back(std::move(chart));
  }
  // Of several, the closest and the furthest say enough.
  if (blocks.size() > 2) blocks.erase(blocks.begin() + 1, blocks.end() - 1);
  return blocks;
}

}  // namespace checkbit
