#include "measure/demo_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "report/number.h"
#include "report/text.h"

namespace checkbit {
namespace {

std::string bytes_in_words(std::uint64_t bytes) {
  return glue(print_quantity(static_cast<double>(bytes), "bytes"));
}

std::optional<Record> find_record(const ModelFacts& facts, const std::string& name) {
  const auto found = std::find_if(facts.records.begin(), facts.records.end(),
                                  [&](const Record& record) { return record.name == name; });
  return found == facts.records.end() ? std::nullopt : std::optional(*found);
}

Figure size_figure(const ModelFacts& model, const ModelFacts& original) {
  const Record record{
      .name = "file_bytes", .value = static_cast<double>(model.file_bytes), .unit = "bytes"};
  return make_figure(record, "Size",
                     "The original takes " + bytes_in_words(original.file_bytes) + ".",
                     Tone::accent);
}

/// A demo has one candidate.
const CandidateStory& fitted_of(const ComparisonStory& comparison) {
  return comparison.candidates.front();
}

Figures opening_figures(const ComparisonStory& comparison) {
  Figures figures = quality_figures(comparison, fitted_of(comparison));
  // Size, perplexity, changed choices, speed: what fits into one row and one memory.
  std::erase_if(figures.figures, [](const Figure& figure) {
    return figure.label == "Perplexity ratio" || figure.label == "Mean divergence";
  });
  figures.figures.insert(figures.figures.begin(),
                         size_figure(fitted_of(comparison).facts, *comparison.reference));
  const char* const kSpeed = "generation_tokens_per_second";
  if (const auto speed = find_record(fitted_of(comparison).facts, kSpeed); speed.has_value()) {
    std::string note;
    if (const auto before = find_record(*comparison.reference, kSpeed); before.has_value()) {
      note = "The original makes " + print_record(*before).value + ".";
    }
    figures.figures.push_back(make_figure(*speed, "Speed", note, Tone::accent));
  }
  return figures;
}

std::optional<Chart> speed_chart(const ComparisonStory& comparison, const std::string& name,
                                 const std::string& title, const std::string& caption) {
  std::vector<Bar> bars;
  const auto add = [&](const ModelFacts& facts, Tone tone) {
    const auto record = find_record(facts, name);
    if (!record.has_value()) return;
    bars.push_back({.label = facts.name,
                    .value = record->value,
                    .low = record->low,
                    .high = record->high,
                    .text = print_with_interval(*record),
                    .tone = tone});
  };
  add(*comparison.reference, Tone::contrast);
  add(fitted_of(comparison).facts, Tone::accent);
  if (bars.empty()) return std::nullopt;
  return Chart{title, svg_bars(bars), caption};
}

Section answers_section(const DemoStory& story) {
  Section section{"Both answer the same prompts", {}};
  section.blocks.emplace_back(
      Paragraph{"Each model continues with its most likely token, so that what differs is the "
                "model and not chance."});
  for (const AnswerPair& pair : story.answers) {
    const bool same = pair.original == pair.fitted;
    Quotes quotes{.prompt = pair.prompt, .quotes = {}};
    quotes.quotes.push_back({.title = "Original, " + story.comparison.reference->name,
                             .note = "",
                             .text = pair.original,
                             .tone = Tone::contrast});
    quotes.quotes.push_back({.title = "Fitted, " + fitted_of(story.comparison).facts.name,
                             .note = same ? "Word for word the same." : "",
                             .text = pair.fitted,
                             .tone = Tone::accent});
    section.blocks.emplace_back(std::move(quotes));
  }
  return section;
}

Section harm_section(const HarmStory& harm) {
  Section section{"Bits flip, and the answer stays", {}};
  section.blocks.emplace_back(Paragraph{fmt::format(
      "The fitted model was sealed, and ran with its guard on. While it wrote, another process "
      "flipped {} bits of its weights in memory, and its file was out of reach. {} flipped bits in "
      "{} blocks were put back, each block within {} (99 of 100). Every logit of every token is "
      "{}.",
      harm.flips, harm.repaired_bits, harm.repaired_blocks,
      glue(print_quantity(harm.repair_p99_seconds, "s")),
      harm.same_logits ? "the same to the bit" : "not the same")});
  Quotes quotes{.prompt = harm.prompt, .quotes = {}};
  quotes.quotes.push_back(
      {.title = "Unharmed", .note = "", .text = harm.unharmed, .tone = Tone::contrast});
  quotes.quotes.push_back({.title = fmt::format("With {} flipped bits", harm.flips),
                           .note = harm.unharmed == harm.damaged ? "Word for word the same." : "",
                           .text = harm.damaged,
                           .tone = Tone::accent});
  section.blocks.emplace_back(std::move(quotes));
  return section;
}

std::string lead_of(const DemoStory& story) {
  const ComparisonStory& comparison = story.comparison;
  const double saved = 1 - static_cast<double>(fitted_of(comparison).facts.file_bytes) /
                               static_cast<double>(comparison.reference->file_bytes);
  const double bits = fitted_of(comparison).facts.bits_per_weight;
  return fmt::format("{} takes {}. Checkbit fitted it into {}, {} {}{}.", story.title_name,
                     bytes_in_words(comparison.reference->file_bytes),
                     bytes_in_words(fitted_of(comparison).facts.file_bytes),
                     glue(print_quantity(std::abs(saved), "share")), saved >= 0 ? "less" : "more",
                     bits > 0 ? ", at " + glue(print_quantity(bits, "bits")) + " per weight" : "");
}

void add_speeds(const ComparisonStory& comparison, Report& report) {
  Section section{"How fast they run", {}};
  const auto generation = speed_chart(comparison, "generation_tokens_per_second",
                                      "Writing: tokens generated each second",
                                      "One answer at a time, on the machine named below.");
  const auto prompt =
      speed_chart(comparison, "prompt_tokens_per_second", "Reading: prompt tokens each second", "");
  if (generation.has_value()) section.blocks.emplace_back(*generation);
  if (prompt.has_value()) section.blocks.emplace_back(*prompt);
  if (!section.blocks.empty()) report.sections.push_back(std::move(section));
}

}  // namespace

Report build_demo_report(const DemoStory& story) {
  const ComparisonStory& comparison = story.comparison;
  CB_CHECK(comparison.reference.has_value() && comparison.candidates.size() == 1);
  Report report;
  report.kicker = "Checkbit demo";
  report.title = fmt::format("{}, from {} to {}, and what it lost", story.title_name,
                             bytes_in_words(comparison.reference->file_bytes),
                             bytes_in_words(fitted_of(comparison).facts.file_bytes));
  report.lead = lead_of(story);
  report.opening.emplace_back(opening_figures(comparison));
  Section cost{"What it cost", quality_charts(comparison)};
  cost.blocks.insert(cost.blocks.begin(), Paragraph{describe_change(comparison)});
  report.sections.push_back(std::move(cost));
  if (!story.answers.empty()) report.sections.push_back(answers_section(story));
  if (story.harm) report.sections.push_back(harm_section(*story.harm));
  if (std::vector<Block> sizes = size_charts(comparison); !sizes.empty()) {
    report.sections.push_back({"Where the bytes went", std::move(sizes)});
  }
  add_speeds(comparison, report);
  Section figures{"All figures", {}};
  for (Table& table : all_figures(comparison)) figures.blocks.emplace_back(std::move(table));
  std::string caption = "The same again, step by step";
  if (story.demo_seconds > 0) {
    caption += fmt::format(" (all of it took {:.0f} s here)", story.demo_seconds);
  }
  figures.blocks.emplace_back(Commands{caption + ":", story.commands});
  report.sections.push_back(std::move(figures));
  report.environment = comparison.environment;
  return report;
}

}  // namespace checkbit
