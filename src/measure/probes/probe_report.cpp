// The page of `checkbit probe --report`: declared in probe_summary.h.
#include <fmt/format.h>

#include "measure/probes/probe_summary.h"
#include "report/number.h"
#include "report/svg.h"

namespace checkbit {
namespace {

constexpr std::size_t kChangedItems = 6;

Chart scores_chart(const ProbeStory& story, const std::string& model,
                   const std::string& reference) {
  std::vector<Bar> bars;
  for (const ProbeFigure& figure : summarize_probe(story.result)) {
    const std::string group = figure.group.empty() ? "all" : figure.group;
    if (figure.reference)
      bars.push_back(
          bar_of(share_record("", *figure.reference), group + ", " + reference, Tone::contrast));
    bars.push_back(bar_of(share_record("", figure.subject), group + ", " + model, Tone::accent));
  }
  return {
      .title = "Score of each part",
      .body = svg_bars(bars, /*full=*/1),
      .caption = fmt::format("1 would be: {}. Error bars are 95 % intervals of each model alone; "
                             "the paired difference, in the table, is surer.",
                             story.probe->score)};
}

Table records_table(const ProbeStory& story, const std::string& command) {
  Table table{"Every figure, with its 95 % interval where there is one",
              {"Figure", "Value", "95 % interval"},
              {}};
  for (const Record& record : probe_records(*story.probe, story.result, command)) {
    const PrintedRecord printed = print_record(record);
    const std::string unit = printed.unit.empty() ? "" : " " + printed.unit;
    table.rows.push_back({record.name, printed.value + unit, printed.interval});
  }
  return table;
}

void add_changed(const ProbeStory& story, const std::string& model, const std::string& reference,
                 std::vector<Block>& blocks) {
  for (const std::size_t i : changed_items(story.result, kChangedItems)) {
    const ProbeItem& item = story.result.items[i];
    blocks.emplace_back(
        Quotes{item.group + ": " + item.shown,
               {{reference, fmt::format("score {:.2g}", story.result.reference[i].score),
                 story.result.reference[i].answer, Tone::contrast},
                {model, fmt::format("score {:.2g}", story.result.subject[i].score),
                 story.result.subject[i].answer, Tone::accent}}});
  }
}

Section section_of(const ProbeStory& story, const std::string& model, const std::string& reference,
                   const std::string& command, bool alone) {
  Section section{std::string(story.probe->title), {}};
  // What it found stands above already when there is no other.
  const std::string found = alone ? "" : describe_probe(*story.probe, story.result) + " ";
  section.blocks.emplace_back(
      Paragraph{found + "It measures " + std::string(story.probe->measures) + "."});
  if (!story.result.items.empty())
    section.blocks.emplace_back(scores_chart(story, model, reference));
  for (const Block& block : story.result.blocks) section.blocks.push_back(block);
  section.blocks.emplace_back(records_table(story, command));
  if (!changed_items(story.result, 1).empty()) {
    section.blocks.emplace_back(
        Paragraph{"Items that the two models score differently, the worst losses first:"});
    add_changed(story, model, reference, section.blocks);
  }
  return section;
}

}  // namespace

Report build_probe_report(const std::vector<ProbeStory>& stories, const std::string& model,
                          const std::string& reference, const std::string& command) {
  Report report;
  report.kicker = "Checkbit probes";
  report.title =
      reference.empty() ? "What " + model + " stumbles over" : model + " against " + reference;
  report.lead = stories.size() == 1
                    ? describe_probe(*stories.front().probe, stories.front().result)
                    : fmt::format("{} probes of {}, each with made-up items from one seed.",
                                  stories.size(), model);
  for (const ProbeStory& story : stories)
    report.sections.push_back(section_of(story, model, reference, command, stories.size() == 1));
  report.sections.push_back({"How to repeat it", {Commands{"These figures again:", {command}}}});
  report.environment = describe_environment();
  report.commands = {command};
  return report;
}

}  // namespace checkbit
