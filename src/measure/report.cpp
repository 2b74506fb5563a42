#include "measure/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/number.h"
#include "report/text.h"

namespace checkbit {
namespace {

std::string in_words(double value, const std::string& unit) {
  return glue(print_quantity(value, unit));
}

std::string in_words(const Record& record) { return glue(print_with_interval(record)); }

Bar bar_of(const Record& record, const std::string& label, Tone tone) {
  return {.label = label,
          .value = record.value,
          .low = record.low,
          .high = record.high,
          .text = print_with_interval(record),
          .tone = tone};
}

/// "4.9 % higher", "0.3 % lower", "unchanged".
std::string describe_ratio(const Record& ratio) {
  const double change = ratio.value - 1;
  if (change == 0) return "unchanged";
  return in_words(std::abs(change), "share") + (change > 0 ? " higher" : " lower");
}

/// Whether the interval leaves open on which side of 1 the ratio is.
bool is_undecided(const Record& ratio) {
  return ratio.low.has_value() && ratio.high.has_value() && *ratio.low <= 1 && *ratio.high >= 1;
}

std::string windows_note(const ComparisonResult& result) {
  return fmt::format("{} tokens scored in {} windows of {}",
                     in_words(static_cast<double>(result.scored_tokens), ""),
                     in_words(static_cast<double>(result.windows.size()), ""),
                     in_words(static_cast<double>(result.context_tokens), ""));
}

Chart perplexity_chart(const ComparisonStory& story, const std::vector<Record>& records) {
  Chart chart{
      .title = "Perplexity: how surprised each model is by the text", .body = "", .caption = ""};
  std::vector<Bar> bars;
  if (story.reference.has_value()) {
    bars.push_back(bar_of(record_named(records, "perplexity_reference"), story.reference->name,
                          Tone::contrast));
  }
  bars.push_back(bar_of(record_named(records, "perplexity"), story.model.name, Tone::accent));
  chart.body = svg_bars(bars);
  chart.caption = "Lower is better. ";
  if (story.reference.has_value()) {
    const Record ratio = record_named(records, "perplexity_ratio");
    if (ratio.low.has_value()) {
      chart.caption +=
          "The error bars are wide because some passages are harder than others, for both models "
          "alike. ";
    }
    chart.caption += "Compared window by window the ratio is " + in_words(ratio) + ".";
    if (is_undecided(ratio)) {
      chart.caption += " That interval includes 1: on this text no difference is certain.";
    }
  } else {
    chart.caption += windows_note(story.result) + " of " + story.text_name + ".";
  }
  return chart;
}

Chart divergence_chart(const DivergenceResult& divergence) {
  const std::string median = in_words(divergence.median, "nats");
  const std::string p99 = in_words(divergence.p99, "nats");
  return {.title = "How far the predictions moved, from the calmest token to the worst",
          .body = svg_quantiles(divergence.quantile_curve, "nats"),
          .caption =
              "KL divergence of each next-token prediction from the original, sorted, on a "
              "logarithmic scale. Half of all tokens stay below " +
              median + ", 99 % below " + p99 + "; the worst one reached " +
              in_words(divergence.max, "nats") + "."};
}

std::string size_change(const ModelFacts& from, const ModelFacts& to) {
  const double share =
      1 - static_cast<double>(to.file_bytes) / static_cast<double>(from.file_bytes);
  return in_words(std::abs(share), "share") + (share >= 0 ? " smaller" : " larger");
}

}  // namespace

Record record_named(const std::vector<Record>& records, const std::string& name) {
  const auto found = std::find_if(records.begin(), records.end(),
                                  [&](const Record& record) { return record.name == name; });
  CB_CHECK(found != records.end());
  return *found;
}

std::string describe_change(const ComparisonStory& story) {
  const std::vector<Record> records = to_records(story.result, story.command);
  const Record perplexity = record_named(records, "perplexity");
  if (!story.result.divergence.has_value()) {
    return "On " + story.text_name + " its perplexity is " + in_words(perplexity) + ".";
  }
  const Record ratio = record_named(records, "perplexity_ratio");
  return fmt::format(
      "On {} its perplexity goes from {} to {} ({}), its predictions diverge by {} on average, and "
      "{} of its next-token choices change.",
      story.text_name, print_record(record_named(records, "perplexity_reference")).value,
      print_record(perplexity).value, describe_ratio(ratio),
      in_words(record_named(records, "kl_divergence_mean")),
      in_words(record_named(records, "top1_changed")));
}

Figures quality_figures(const ComparisonStory& story) {
  const std::vector<Record> records = to_records(story.result, story.command);
  const bool paired = story.result.divergence.has_value();
  Figures figures;
  const Record perplexity = record_named(records, "perplexity");
  if (!paired) {
    figures.figures.push_back(
        make_figure(perplexity, "Perplexity", windows_note(story.result), Tone::accent));
    return figures;
  }
  const std::string before = print_record(record_named(records, "perplexity_reference")).value;
  figures.figures.push_back(
      make_figure(perplexity, "Perplexity", "The original has " + before + ".", Tone::accent));
  figures.figures.push_back(make_figure(record_named(records, "perplexity_ratio"),
                                        "Perplexity ratio", "1 would be no loss.", Tone::accent));
  figures.figures.push_back(make_figure(record_named(records, "kl_divergence_mean"),
                                        "Mean divergence", "0 would be the same predictions.",
                                        Tone::accent));
  figures.figures.push_back(make_figure(record_named(records, "top1_changed"), "Choices changed",
                                        "Most likely next token differs.", Tone::accent));
  return figures;
}

std::vector<Block> quality_charts(const ComparisonStory& story) {
  const std::vector<Record> records = to_records(story.result, story.command);
  std::vector<Block> blocks;
  blocks.emplace_back(perplexity_chart(story, records));
  if (story.result.divergence.has_value()) {
    blocks.emplace_back(divergence_chart(*story.result.divergence));
  }
  return blocks;
}

std::vector<Block> size_charts(const ComparisonStory& story) {
  std::vector<Block> blocks;
  std::vector<Stack> stacks;
  if (story.reference.has_value() && !story.reference->type_bytes.empty()) {
    stacks.push_back({story.reference->name, story.reference->type_bytes});
  }
  if (!story.model.type_bytes.empty()) {
    stacks.push_back({story.model.name, story.model.type_bytes});
  }
  if (!stacks.empty()) {
    std::string caption = "Weights of each file, cut by number format.";
    if (story.reference.has_value() && story.reference->file_bytes > 0 &&
        story.model.file_bytes > 0) {
      caption += " The file is " + size_change(*story.reference, story.model) + ".";
    }
    blocks.emplace_back(Chart{"Bytes by tensor type", svg_stacks(stacks, "bytes"), caption});
  }
  if (!story.layer_bits.empty()) {
    blocks.emplace_back(Chart{
        "Bits per weight, layer by layer",
        svg_strips(story.layer_bits, "bits", "first layer", "last layer"),
        "A stronger colour means more bits. Each row is one kind of tensor, each cell one layer."});
  }
  return blocks;
}

Table all_figures(const ComparisonStory& story) {
  Table table;
  table.caption = "Every figure, with its 95 % interval where there is one";
  table.columns = {"Figure", "Value", "95 % interval"};
  const auto add = [&](const Record& record, const std::string& of) {
    const PrintedRecord printed = print_record(record);
    const std::string unit = printed.unit.empty() ? "" : " " + printed.unit;
    table.rows.push_back({record.name + of, printed.value + unit, printed.interval});
  };
  for (const Record& record : to_records(story.result, story.command)) add(record, "");
  for (const Record& record : story.model.records) add(record, ", " + story.model.name);
  if (!story.reference.has_value()) return table;
  for (const Record& record : story.reference->records) add(record, ", " + story.reference->name);
  return table;
}

std::vector<std::string> all_commands(const ComparisonStory& story) {
  std::vector<std::string> commands = {story.command};
  const auto add = [&](const ModelFacts& facts) {
    for (const Record& record : facts.records) {
      const bool known = std::ranges::find(commands, record.command) != commands.end();
      if (!known && !record.command.empty()) commands.push_back(record.command);
    }
  };
  add(story.model);
  if (story.reference.has_value()) add(*story.reference);
  return commands;
}

Report build_comparison_report(const ComparisonStory& story) {
  CB_CHECK(story.reference.has_value() == story.result.divergence.has_value());
  Report report;
  report.kicker = "Checkbit measurement";
  report.title = story.reference.has_value()
                     ? story.model.name + " against " + story.reference->name
                     : "What " + story.model.name + " makes of " + story.text_name;
  report.lead = describe_change(story);
  if (story.reference.has_value()) {
    const std::string& name = story.model.name;
    report.lead = name + " is measured against " + story.reference->name +
                  ", both reading the same text token by token. " + report.lead;
  }
  report.opening.emplace_back(quality_figures(story));
  report.sections.push_back({"What changed", quality_charts(story)});
  if (std::vector<Block> sizes = size_charts(story); !sizes.empty()) {
    report.sections.push_back({"Where the bytes are", std::move(sizes)});
  }
  Section figures{"All figures", {all_figures(story)}};
  figures.blocks.emplace_back(Paragraph{
      windows_note(story.result) +
      "; the first half of each window is only context. Intervals come from redrawing whole "
      "windows, the same ones for both models; fewer than six windows give none."});
  figures.blocks.emplace_back(Commands{"These figures again:", all_commands(story)});
  report.sections.push_back(std::move(figures));
  report.environment = story.environment;
  return report;
}

}  // namespace checkbit
