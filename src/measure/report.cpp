#include "measure/report.h"

#include <fmt/format.h>

#include <algorithm>

#include "measure/paired_change.h"
#include "report/number.h"
#include "report/text.h"
#include "score/estimate_record.h"

namespace checkbit {
namespace {

void add_section(Report& report, const std::string& title, std::vector<Block> blocks) {
  if (!blocks.empty()) report.sections.push_back({title, std::move(blocks)});
}

std::string title_of(const ComparisonStory& story) {
  const std::string& first = story.candidates.front().facts.name;
  const std::size_t count = story.candidates.size();
  if (!story.reference) {
    return count == 1 ? "What " + first + " makes of " + story.text_name
                      : fmt::format("What {} models make of {}", count, story.text_name);
  }
  return count == 1 ? first + " against " + story.reference->name
                    : fmt::format("{} models against {}", count, story.reference->name);
}

std::string lead_of(const ComparisonStory& story) {
  const std::string verdict = describe_change(story);
  if (!story.reference) return verdict;
  if (story.candidates.size() > 1) {
    return verdict + " All read the same text token by token beside " + story.reference->name + ".";
  }
  const std::string& name = story.candidates.front().facts.name;
  return name + " is measured against " + story.reference->name +
         ", both reading the same text token by token. " + verdict;
}

std::string value_with_unit(const Record& record) {
  const PrintedRecord printed = print_record(record);
  return printed.unit.empty() ? printed.value : printed.value + " " + printed.unit;
}

/// One candidate: value and interval in columns of their own.
Table figures_of_one(const CandidateStory& candidate) {
  Table table{.caption = "Every figure, with its 95 % interval where there is one",
              .columns = {"Figure", "Value", "95 % interval"},
              .rows = {}};
  for (const Record& record : to_records(candidate.result, candidate.command)) {
    table.rows.push_back({record.name, value_with_unit(record), print_record(record).interval});
  }
  return table;
}

/// Several: a column each, the interval beside the value; few enough columns for a sheet of paper.
std::vector<Table> figures_of_several(const std::vector<const CandidateStory*>& healthy) {
  constexpr std::size_t kMostColumns = 3;
  std::vector<Table> tables;
  for (std::size_t at = 0; at < healthy.size(); ++at) {
    if (at % kMostColumns == 0) {
      tables.push_back({.caption = "Every figure, with its 95 % interval where there is one",
                        .columns = {"Figure"},
                        .rows = {}});
    }
    Table& table = tables.back();
    table.columns.push_back(healthy[at]->facts.name);
    const auto records = to_records(healthy[at]->result, healthy[at]->command);
    for (std::size_t i = 0; i < records.size(); ++i) {
      if (table.rows.size() <= i) table.rows.push_back({records[i].name});
      table.rows[i].push_back(in_words(records[i]));
    }
  }
  return tables;
}

/// Without its unit, which the column names.
std::string bare(const Record& record) {
  const PrintedRecord printed = print_record(record);
  return glue(printed.interval.empty() ? printed.value : printed.value + " " + printed.interval);
}

Table run_table(const ComparisonStory& story) {
  Table table{.caption = "The measurement itself and the files",
              .columns = {"Figure", "Value", "95 % interval"},
              .rows = {}};
  const std::size_t models = ranked(story).size() + (story.reference ? 1 : 0);
  const auto add = [&](const Record& record, const std::string& of) {
    table.rows.push_back(
        {record.name + of, value_with_unit(record), print_record(record).interval});
  };
  for (const Record& record : run_records(story.run, models, "")) add(record, "");
  const auto add_all = [&](const ModelFacts& facts) {
    for (const Record& record : facts.records) add(record, ", " + facts.name);
  };
  for (const CandidateStory& candidate : story.candidates) add_all(candidate.facts);
  if (story.reference) add_all(*story.reference);
  return table;
}

std::string method_note(const ComparisonStory& story) {
  std::string note =
      describe_windows(story.run) +
      "; the first half of each window is only context. Intervals come from redrawing whole "
      "windows, the same ones for all models; fewer than six windows give none.";
  if (story.run.early_stop) {
    note += fmt::format(
        " {} Windows were read in a random order; the interval of the {} is one that holds at "
        "every time at once (asymptotic confidence sequence, Waudby-Smith and others 2024).",
        describe_early_stop(story.run), story.reference ? "mean divergence" : "perplexity");
  }
  return note;
}

}  // namespace

Table candidate_table(const ComparisonStory& story) {
  const bool paired = story.reference.has_value();
  Table table{.caption = "The models, closest to the original first",
              .columns = {"Model", "Size", "Bits/weight"},
              .rows = {}};
  if (!paired) table.caption = "The models, least perplexity first";
  if (paired) {
    for (const char* column : {"Perplexity ratio", "Divergence, nats", "Changed, %"}) {
      table.columns.emplace_back(column);
    }
  } else {
    table.columns.push_back("Perplexity");
  }
  for (const CandidateStory* candidate : ranked(story)) {
    const ModelFacts& facts = candidate->facts;
    std::vector<std::string> row = {facts.name,
                                    in_words(static_cast<double>(facts.file_bytes), "bytes"),
                                    in_words(facts.bits_per_weight, "")};
    if (paired) {
      for (const char* name : {"perplexity_ratio", "kl_divergence_mean", "top1_changed"}) {
        row.push_back(bare(figure_of(*candidate, name)));
      }
    } else {
      row.push_back(bare(figure_of(*candidate, "perplexity")));
    }
    table.rows.push_back(std::move(row));
  }
  for (const CandidateStory& candidate : story.candidates) {
    if (!candidate.result.broken) continue;
    std::vector<std::string> row(table.columns.size());
    row[0] = candidate.facts.name;
    row[1] = "broken";
    table.rows.push_back(std::move(row));
  }
  return table;
}

Table paired_table(const ComparisonStory& story) {
  Table table{
      .caption = "One against the next, window by window: is the difference certain? p: sign test",
      .columns = {"From → to", "Divergence, nats", "Changed, %", "Perplexity ratio",
                  "Windows worse, better"},
      .rows = {}};
  const auto healthy = ranked(story);
  for (std::size_t i = 0; i + 1 < healthy.size(); ++i) {
    const auto change = paired_change(healthy[i]->result, healthy[i + 1]->result);
    if (!change) continue;
    const auto maybe = [](const std::optional<Estimate>& estimate, const char* unit) {
      return estimate ? bare(record_of("", unit, *estimate, "")) : std::string();
    };
    table.rows.push_back({healthy[i]->facts.name + " → " + healthy[i + 1]->facts.name,
                          maybe(change->divergence, "nats"), maybe(change->changed, "share"),
                          maybe(change->perplexity_ratio, ""),
                          fmt::format("{}, {}; p = {:.2g}", change->blocks_more,
                                      change->blocks_less, change->p_value)});
  }
  return table;
}

std::vector<Table> all_figures(const ComparisonStory& story) {
  std::vector<Table> tables;
  const auto healthy = ranked(story);
  if (healthy.size() == 1) tables.push_back(figures_of_one(*healthy.front()));
  if (healthy.size() > 1) tables = figures_of_several(healthy);
  tables.push_back(run_table(story));
  return tables;
}

std::vector<std::string> all_commands(const ComparisonStory& story) {
  std::vector<std::string> commands;
  const auto add_line = [&](const std::string& line) {
    if (!line.empty() && std::ranges::find(commands, line) == commands.end()) {
      commands.push_back(line);
    }
  };
  for (const CandidateStory& candidate : story.candidates) add_line(candidate.command);
  const auto add = [&](const ModelFacts& facts) {
    for (const Record& record : facts.records) add_line(record.command);
  };
  for (const CandidateStory& candidate : story.candidates) add(candidate.facts);
  if (story.reference) add(*story.reference);
  for (const std::string& line : story.more_commands) add_line(line);
  return commands;
}

Report build_comparison_report(const ComparisonStory& story) {
  CB_CHECK(!story.candidates.empty());
  Report report;
  report.kicker = "Checkbit measurement";
  report.title = title_of(story);
  report.lead = lead_of(story);
  const bool alone = story.candidates.size() == 1;
  if (alone && !story.candidates.front().result.broken) {
    report.opening.emplace_back(quality_figures(story, story.candidates.front()));
  }
  if (!alone) {
    report.opening = front_charts(story);
    report.opening.emplace_back(candidate_table(story));
    if (Table pairs = paired_table(story); !pairs.rows.empty()) {
      report.opening.emplace_back(std::move(pairs));
    }
  }
  add_section(report, "What changed", quality_charts(story));
  add_section(report, "Where it changed", place_charts(story));
  add_section(report, "When the original was sure", sureness_charts(story));
  add_section(report, "Changed choices, side by side", example_blocks(story));
  add_section(report, "Where the bytes are", size_charts(story));
  Section figures{"All figures", {}};
  for (Table& table : all_figures(story)) figures.blocks.emplace_back(std::move(table));
  figures.blocks.emplace_back(Paragraph{method_note(story)});
  figures.blocks.emplace_back(Commands{"These figures again:", all_commands(story)});
  report.sections.push_back(std::move(figures));
  report.environment = story.environment;
  for (const CandidateStory& candidate : story.candidates) {
    const bool known =
        std::ranges::find(report.commands, candidate.command) != report.commands.end();
    if (!candidate.command.empty() && !known) report.commands.push_back(candidate.command);
  }
  return report;
}

}  // namespace checkbit
