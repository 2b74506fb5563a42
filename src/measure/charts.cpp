#include "measure/charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/number.h"

namespace checkbit {
namespace {

/// Whether the interval leaves open on which side of 1 the ratio is.
bool is_undecided(const Record& ratio) {
  return ratio.low.has_value() && ratio.high.has_value() && *ratio.low <= 1 && *ratio.high >= 1;
}

std::string ratio_note(const CandidateStory& candidate) {
  const Record ratio = figure_of(candidate, "perplexity_ratio");
  std::string note;
  if (ratio.low.has_value()) {
    note =
        "The error bars are wide because some passages are harder than others, for both models "
        "alike. ";
  }
  note += "Compared window by window the ratio is " + in_words(ratio) + ".";
  if (is_undecided(ratio)) {
    note += " That interval includes 1: on this text no difference is certain.";
  }
  return note;
}

Chart perplexity_chart(const ComparisonStory& story,
                       const std::vector<const CandidateStory*>& healthy) {
  Chart chart{
      .title = "Perplexity: how surprised each model is by the text", .body = "", .caption = ""};
  std::vector<Bar> bars;
  if (story.reference.has_value()) {
    bars.push_back(bar_of(figure_of(*healthy.front(), "perplexity_reference"),
                          story.reference->name, Tone::contrast));
  }
  for (const CandidateStory* candidate : healthy) {
    bars.push_back(
        bar_of(figure_of(*candidate, "perplexity"), candidate->facts.name, Tone::accent));
  }
  chart.body = svg_bars(bars);
  chart.caption = "Lower is better. ";
  if (!story.reference.has_value()) {
    chart.caption += describe_windows(story.run) + " of " + story.text_name + ".";
  } else if (healthy.size() == 1) {
    chart.caption += ratio_note(*healthy.front());
  } else {
    chart.caption +=
        "The error bars are wide because some passages are harder than others, for all models "
        "alike; the ratios in the tables are compared window by window.";
  }
  return chart;
}

Chart changed_chart(const std::vector<const CandidateStory*>& healthy) {
  std::vector<Bar> bars;
  for (const CandidateStory* candidate : healthy) {
    bars.push_back(
        bar_of(figure_of(*candidate, "top1_changed"), candidate->facts.name, Tone::accent));
  }
  return {.title = "Choices changed: the most likely next token differs",
          .body = svg_bars(bars),
          .caption = "Share of all scored tokens."};
}

Chart divergence_chart(const std::vector<const CandidateStory*>& healthy) {
  Chart chart{.title = "How far the predictions moved, from the calmest token to the worst",
              .body = "",
              .caption =
                  "KL divergence of each next-token prediction from the original, sorted, on a "
                  "logarithmic scale."};
  if (healthy.size() == 1) {
    const DivergenceResult& divergence = *healthy.front()->result.divergence;
    chart.body = svg_quantiles(divergence.quantile_curve, "nats");
    chart.caption += fmt::format(
        " Half of all tokens stay below {}, 99 % below {}; the worst one "
        "reached {}.",
        in_words(divergence.median, "nats"), in_words(divergence.p99, "nats"),
        in_words(divergence.max, "nats"));
    return chart;
  }
  // As many as can be told apart: the closest, the furthest and some between.
  constexpr std::size_t kMostCurves = 4;
  const std::size_t drawn = std::min(kMostCurves, healthy.size());
  std::vector<QuantileCurve> curves;
  for (std::size_t i = 0; i < drawn; ++i) {
    const CandidateStory* candidate = healthy[i * (healthy.size() - 1) / (drawn - 1)];
    curves.push_back({candidate->facts.name, candidate->result.divergence->quantile_curve});
  }
  chart.body = svg_quantile_curves(curves, "nats");
  return chart;
}

std::string size_change(const ModelFacts& from, const ModelFacts& to) {
  const double share =
      1 - static_cast<double>(to.file_bytes) / static_cast<double>(from.file_bytes);
  return in_words(std::abs(share), "share") + (share >= 0 ? " smaller" : " larger");
}

}  // namespace

Figures quality_figures(const ComparisonStory& story, const CandidateStory& candidate) {
  Figures figures;
  const auto add = [&](const char* record, const char* label, const std::string& note) {
    figures.figures.push_back(make_figure(figure_of(candidate, record), label, note, Tone::accent));
  };
  if (!candidate.result.divergence.has_value()) {
    add("perplexity", "Perplexity", describe_windows(story.run));
    return figures;
  }
  const std::string before = print_record(figure_of(candidate, "perplexity_reference")).value;
  add("perplexity", "Perplexity", "The original has " + before + ".");
  add("perplexity_ratio", "Perplexity ratio", "1 would be no loss.");
  add("kl_divergence_mean", "Mean divergence", "0 would be the same predictions.");
  add("top1_changed", "Choices changed", "Most likely next token differs.");
  return figures;
}

std::vector<Block> front_charts(const ComparisonStory& story) {
  const auto healthy = ranked(story);
  const bool sized =
      std::ranges::all_of(healthy, [](const CandidateStory* c) { return c->facts.file_bytes > 0; });
  if (healthy.size() < 2 || !sized || !healthy.front()->result.divergence) return {};
  std::vector<Point> points;
  for (const CandidateStory* candidate : healthy) {
    const Record mean = figure_of(*candidate, "kl_divergence_mean");
    const auto bytes = static_cast<double>(candidate->facts.file_bytes);
    points.push_back({.label = candidate->facts.name,
                      .x = bytes,
                      .y = mean.value,
                      .low = mean.low,
                      .high = mean.high,
                      .x_text = print_quantity(bytes, "bytes"),
                      .y_text = print_with_interval(mean),
                      .on_front = on_front(story, *candidate)});
  }
  return {Chart{"What a byte costs: file size against divergence",
                svg_points(points, "bytes", "nats"),
                "Further left is smaller, further down is closer to the original. Filled points, "
                "joined by the line, are those that no other beats in both."}};
}

std::vector<Block> quality_charts(const ComparisonStory& story) {
  const auto healthy = ranked(story);
  if (healthy.empty()) return {};
  std::vector<Block> blocks;
  blocks.emplace_back(perplexity_chart(story, healthy));
  if (!healthy.front()->result.divergence.has_value()) return blocks;
  if (healthy.size() > 1) blocks.emplace_back(changed_chart(healthy));
  blocks.emplace_back(divergence_chart(healthy));
  return blocks;
}

std::vector<Block> example_blocks(const ComparisonStory& story) {
  constexpr std::size_t kMost = 6;
  const auto healthy = ranked(story);
  std::vector<Block> blocks;
  const std::size_t each =
      std::max<std::size_t>(1, kMost / std::max<std::size_t>(1, healthy.size()));
  for (const CandidateStory* candidate : healthy) {
    for (std::size_t i = 0; i < std::min(each, candidate->examples.size()); ++i) {
      const ChangedText& example = candidate->examples[i];
      Quotes quotes{.prompt = "… " + example.before, .quotes = {}, .prompt_title = "Text so far"};
      quotes.quotes.push_back({.title = "Original",
                               .note = in_words(example.reference_probability, "share") + " sure",
                               .text = example.reference_choice,
                               .tone = Tone::contrast});
      quotes.quotes.push_back({.title = candidate->facts.name,
                               .note = in_words(example.probability, "share") +
                                       " sure; the text goes on with “" + example.actual + "”",
                               .text = example.choice,
                               .tone = Tone::accent});
      blocks.emplace_back(std::move(quotes));
    }
  }
  return blocks;
}

std::vector<Block> size_charts(const ComparisonStory& story) {
  std::vector<Block> blocks;
  std::vector<Stack> stacks;
  const auto add = [&](const ModelFacts& facts) {
    if (!facts.type_bytes.empty()) stacks.push_back({facts.name, facts.type_bytes});
  };
  if (story.reference.has_value()) add(*story.reference);
  for (const CandidateStory& candidate : story.candidates) add(candidate.facts);
  const ModelFacts& first = story.candidates.front().facts;
  const bool alone = story.candidates.size() == 1;
  if (!stacks.empty()) {
    std::string caption = "Weights of each file, cut by number format.";
    const bool sized =
        story.reference.has_value() && story.reference->file_bytes > 0 && first.file_bytes > 0;
    if (alone && sized) caption += " The file is " + size_change(*story.reference, first) + ".";
    blocks.emplace_back(Chart{"Bytes by tensor type", svg_stacks(stacks, "bytes"), caption});
  }
  if (alone && !first.layer_bits.empty()) {
    blocks.emplace_back(Chart{
        "Bits per weight, layer by layer",
        svg_strips(first.layer_bits, "bits", "first layer", "last layer"),
        "A stronger colour means more bits. Each row is one kind of tensor, each cell one layer."});
  }
  return blocks;
}

}  // namespace checkbit
