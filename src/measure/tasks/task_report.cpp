#include "measure/tasks/task_report.h"

#include <algorithm>

#include "report/number.h"
#include "report/svg.h"
#include "score/estimate_record.h"

namespace checkbit {
namespace {

/// More of them would make the page hard to handle; the JSON has every item.
constexpr std::size_t kMostShown = 60;

std::string count_of(std::size_t count) { return print_quantity(static_cast<double>(count), ""); }

/// "accuracy_normalized" -> "accuracy normalized".
std::string words_of(std::string_view name) {
  std::string words(name);
  std::ranges::replace(words, '_', ' ');
  return words;
}

Chart accuracy_chart(const TaskStory& story) {
  std::vector<Bar> bars;
  for (std::size_t m = 0; m < story.task->measures.size(); ++m) {
    const std::string words = words_of(story.task->measures[m]);
    const auto add = [&](const std::string& name, const TaskResult& result, Tone tone) {
      const Record record = share_of("", result.right(m), result.items.size());
      bars.push_back(bar_of(record, words + ", " + name, tone));
    };
    if (story.reference) add(story.reference_name, *story.reference, Tone::neutral);
    add(story.model_name, story.model, Tone::accent);
  }
  const double chance = chance_level(*story.data, story.model.items.size());
  if (chance > 0)
    bars.push_back({.label = "guessing", .value = chance, .text = print_quantity(chance, "share")});
  return {"Accuracy", svg_bars(bars, /*full=*/1), "Whiskers: 95 % intervals (Wilson)."};
}

Chart flips_chart(const Flips& flips) {
  const auto bar = [&](const std::string& label, std::size_t count, Tone tone) {
    return bar_of(share_of("", count, flips.items), label, tone);
  };
  return {"Answers that flipped, by " + words_of(flips.measure),
          svg_bars({bar("right before, wrong after", flips.negative.size(), Tone::contrast),
                    bar("wrong before, right after", flips.positive.size(), Tone::accent),
                    bar("another wrong answer", flips.changed_mistakes.size(), Tone::neutral)}),
          "Shares of all items, with 95 % intervals (Wilson)."};
}

std::string shown(const TaskStory& story, const TaskResult& result, std::size_t item) {
  const ItemResult& one = result.items[item];
  return story.task->judge == nullptr ? one.verdicts.front().answer : one.text;
}

std::string right_answer(const TaskItem& item) {
  return item.choices.empty() ? item.answer : item.choices[item.right];
}

Section flips_section(const TaskStory& story, const std::vector<std::size_t>& items,
                      const std::string& title) {
  Section section{title, {}};
  const std::size_t count = std::min(items.size(), kMostShown);
  if (count < items.size()) {
    section.blocks.emplace_back(Paragraph{"The first " + count_of(count) + " of " +
                                          count_of(items.size()) + "; --json lists every item."});
  }
  for (std::size_t i = 0; i < count; ++i)
    section.blocks.emplace_back(flipped_item(story, items[i]));
  return section;
}

std::string describe_flips(const TaskStory& story) {
  const Flips& flips = story.flips.front();
  const McNemar test = flips.test();
  const Record change = record_of("", "share", {flips.difference(), flips.difference_interval()});
  return fmt::format(
      "Of what {} had right, {} {} now wrong ({}); {} the other way round ({}). Accuracy changes "
      "by "
      "{}: {} (McNemar's exact test, p = {:.2g}).",
      story.reference_name, count_of(flips.negative.size()),
      flips.negative.size() == 1 ? "is" : "are",
      print_with_interval(share_of("", flips.negative.size(), flips.items)),
      count_of(flips.positive.size()),
      print_with_interval(share_of("", flips.positive.size(), flips.items)),
      print_with_interval(change),
      test.exact_p < 0.05 ? "more than chance explains" : "no more than chance explains",
      test.exact_p);
}

Table figures_table(const TaskStory& story) {
  Table table{"Every figure, with its 95 % interval where there is one",
              {"Figure", "Value", "95 % interval"},
              {}};
  for (const Record& record : task_records(story)) {
    const PrintedRecord printed = print_record(record);
    const std::string unit = printed.unit.empty() ? "" : " " + printed.unit;
    table.rows.push_back({record.name, printed.value + unit, printed.interval});
  }
  return table;
}

}  // namespace

std::vector<Record> task_records(const TaskStory& story) {
  std::vector<Record> records = to_records(story.model, story.command);
  for (Record& record : to_records(story.flips, story.command))
    records.push_back(std::move(record));
  return records;
}

std::string describe_task(const TaskStory& story) {
  const std::size_t items = story.model.items.size();
  std::string words =
      fmt::format("{} answers {} of {} items of {} right", story.model_name,
                  count_of(story.model.right(0)), count_of(items), story.task->title);
  words += ": " + print_with_interval(share_of("", story.model.right(0), items));
  const double chance = chance_level(*story.data, items);
  if (chance > 0) words += ", where guessing gives " + print_quantity(chance, "share");
  words += ".";
  if (!story.flips.empty()) words += " " + describe_flips(story);
  return words;
}

Table blend_table(const TaskStory& story) {
  Table table{"Weights between the two: share of " + story.reference_name + " in each weight",
              {"Share", "Accuracy", "Right, then wrong", "Wrong, then right"},
              {}};
  for (const BlendResult& blend : story.blends) {
    const Flips& flips = blend.flips.front();
    const auto share = [&](std::size_t count) {
      return print_with_interval(share_of("", count, flips.items));
    };
    table.rows.push_back({fmt::format("{:g}", blend.share_of_reference), share(flips.right_after),
                          share(flips.negative.size()), share(flips.positive.size())});
  }
  return table;
}

Quotes flipped_item(const TaskStory& story, std::size_t item) {
  const TaskItem& asked = story.data->items[item];
  const bool writes = story.task->judge != nullptr;
  bool any_right = false;
  const auto quote = [&](const std::string& name, const TaskResult& result) {
    const Verdict& verdict = result.items[item].verdicts.front();
    any_right |= verdict.right;
    const std::string found = writes ? ": " + verdict.answer : "";
    return Quote{.title = name,
                 .note = (verdict.right ? "right" : "wrong") + found,
                 .text = shown(story, result, item),
                 .tone = verdict.right ? Tone::accent : Tone::contrast};
  };
  Quotes quotes{fmt::format("Line {}. {}", asked.line, asked.prompt), {}};
  if (story.reference) quotes.quotes.push_back(quote(story.reference_name, *story.reference));
  quotes.quotes.push_back(quote(story.model_name, story.model));
  if (writes || !any_right)
    quotes.quotes.push_back({.title = "A right answer", .text = right_answer(asked)});
  return quotes;
}

Report build_task_report(const TaskStory& story) {
  Report report;
  report.kicker = "Checkbit task";
  report.title = story.model_name + " on " + std::string(story.task->title);
  if (story.reference) report.title += ", against " + story.reference_name;
  report.lead = describe_task(story);
  Figures cards;
  for (std::size_t m = 0; m < story.task->measures.size(); ++m) {
    std::string words = words_of(story.task->measures[m]);
    words.front() = 'A';
    cards.figures.push_back(
        make_figure(share_of("", story.model.right(m), story.model.items.size()), words,
                    m == 0 ? std::string(story.task->what) + "." : "", Tone::accent));
  }
  report.opening.emplace_back(std::move(cards));
  Section charts{"What was right", {accuracy_chart(story)}};
  for (const Flips& flips : story.flips) charts.blocks.emplace_back(flips_chart(flips));
  report.sections.push_back(std::move(charts));
  if (!story.blends.empty())
    report.sections.push_back({"Between the two models", {blend_table(story)}});
  if (!story.flips.empty()) {
    const Flips& flips = story.flips.front();
    report.sections.push_back(flips_section(story, flips.negative, "Right before, wrong after"));
    report.sections.push_back(flips_section(story, flips.positive, "Wrong before, right after"));
  }
  Section figures{"All figures", {figures_table(story)}};
  figures.blocks.emplace_back(Commands{"These figures again:", {story.command}});
  report.sections.push_back(std::move(figures));
  report.environment = story.environment;
  report.commands = {story.command};
  return report;
}

}  // namespace checkbit
