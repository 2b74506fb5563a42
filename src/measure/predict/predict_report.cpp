#include "measure/predict/predict_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "report/number.h"
#include "report/svg.h"
#include "report/text.h"
#include "score/estimate_record.h"

namespace checkbit {
namespace {

std::string in_words(const Estimate& estimate, const std::string& unit = "") {
  return glue(print_with_interval(record_of("", unit, estimate)));
}

std::string share(double value) { return glue(print_quantity(value, "share")); }

const PredictorResult* find(const TargetResult& target, std::string_view name) {
  const auto found = std::ranges::find_if(
      target.predictors, [&](const PredictorResult& p) { return p.predictor->name == name; });
  return found == target.predictors.end() ? nullptr : &*found;
}

Chart auc_chart(const TargetResult& target) {
  std::vector<Bar> bars;
  for (const PredictorResult& entry : target.predictors) {
    const Tone tone = entry.predictor == all_predictors()[0] ? Tone::neutral
                      : entry.predictor->reads_model         ? Tone::contrast
                                                             : Tone::accent;
    bars.push_back(bar_of(record_of("", "", entry.auc), std::string(entry.predictor->title), tone));
    bars.back().text = in_words(entry.auc);
  }
  return {.title = fmt::format("How well it is foretold that {}", target.title),
          .body = svg_bars(bars, /*full=*/1),
          .caption = fmt::format(
              "Area under the ROC curve on {} held-out {}, of which {} fail: 0.5 is a coin, 1 puts "
              "every failure first.",
              target.items, target.unit, target.failures)};
}

Chart calibration_chart(const TargetResult& target) {
  constexpr std::size_t kLeastItems = 20;
  std::vector<Line> lines = {{.label = "as promised", .values = {}, .tone = Tone::neutral}};
  const PredictorResult* best = find(target, "combined");
  if (best == nullptr) best = &target.predictors.front();
  Line line{.label = std::string(best->predictor->title), .values = {}, .tone = Tone::accent};
  for (const CalibrationBin& bin : best->bins) {
    if (bin.items < kLeastItems) continue;
    lines[0].values.push_back(bin.predicted);
    line.values.push_back(bin.observed);
  }
  if (line.values.empty()) return {};
  const std::string first = share(lines[0].values.front()) + " predicted";
  const std::string last = share(lines[0].values.back()) + " predicted";
  lines.push_back(std::move(line));
  return {.title = "What became of the predicted probabilities",
          .body = svg_lines(lines, first, last),
          .caption = fmt::format("Share that failed in each bin of predicted probability with at "
                                 "least {} {}. Expected calibration error {}.",
                                 kLeastItems, target.unit, in_words(best->calibration, "share"))};
}

Chart layer_chart(const PredictionResult& result) {
  Line windows{.label = "windows: size against growth of the loss", .values = {}};
  Line tokens{.label = "tokens: size against divergence", .values = {}, .tone = Tone::contrast};
  for (const LayerCorrelation& layer : result.layers) {
    windows.values.push_back(layer.windows.value);
    tokens.values.push_back(layer.tokens.value);
  }
  return {.title = "Size of the residual stream against the damage, layer by layer",
          .body = svg_lines({windows, tokens}, "first layer",
                            fmt::format("layer {}", result.layers.size())),
          .caption = fmt::format(
              "Correlation of the reference's residual stream (logarithm of its root mean square, "
              "entering each layer) with what the low-bit model loses. Over the last quarter of "
              "the layers: {} by windows, {} by tokens. Below zero: small streams break.",
              in_words(result.late.windows), in_words(result.late.tokens))};
}

}  // namespace

std::string describe_prediction(const PredictionStory& story) {
  const TargetResult& changed = story.result.targets.front();
  const PredictorResult* entropy = find(changed, "entropy");
  const PredictorResult* combined = find(changed, "combined");
  CB_CHECK(entropy != nullptr && combined != nullptr);
  const std::size_t proven = story.result.subgroups.proven.size();
  return fmt::format(
      "{} changes {} of the reference's choices on {}. From the reference alone it is foretold "
      "which: AUC {} on held-out tokens, entropy alone {}. {}",
      story.model,
      share(static_cast<double>(changed.failures) / static_cast<double>(changed.items)),
      story.text_name, in_words(combined->auc), in_words(entropy->auc),
      proven == 0 ? std::string("No subgroup of tokens fails more than the rest for certain.")
                  : fmt::format("{} subgroup{} of tokens fail{} more than the rest for certain.",
                                proven, proven == 1 ? "" : "s", proven == 1 ? "s" : ""));
}

Table predictor_table(const TargetResult& target) {
  Table table{.caption = fmt::format(
                  "{}{}: {} of {} held-out {}", static_cast<char>(std::toupper(target.title[0])),
                  target.title.substr(1), target.failures, target.items, target.unit),
              .columns = {"predictor", "AUC", "more than entropy", "calibration error"},
              .rows = {}};
  for (const PredictorResult& entry : target.predictors) {
    table.rows.push_back({std::string(entry.predictor->name), in_words(entry.auc),
                          entry.gain ? in_words(*entry.gain) : "",
                          in_words(entry.calibration, "share")});
  }
  return table;
}

Table subgroup_table(const SubgroupSearch& search, std::size_t limit) {
  Table table{
      .caption = fmt::format("Subgroups whose choices change more often than the rest's: {} "
                             "proven of {} tried, {} counted",
                             search.proven.size(), search.proven.size() + search.unproven.size(),
                             search.counted),
      .columns = {"tokens", "held-out", "changed", "rest", "more", "p, corrected"},
      .rows = {}};
  for (const Subgroup& group : search.proven) {
    if (table.rows.size() == limit) break;
    table.rows.push_back(
        {group.name, std::to_string(group.held.items), share(group.held.rate()),
         share(group.rest_rate),
         in_words({group.held.rate() - group.rest_rate, group.difference}, "share"),
         fmt::format("{:.2g}", group.p_value)});
  }
  return table;
}

Table window_table(const PredictionStory& story) {
  Table table{.caption = "Held-out windows likeliest to break, as the reference says",
              .columns = {"window", "probability", "loss grew by", "choices changed", "begins"},
              .rows = {}};
  constexpr std::size_t kShownCells = 60;
  for (const ShownWindow& shown : story.shown) {
    std::string line = clean_line(shown.text);
    if (display_width(line) > kShownCells)
      line = std::string(prefix_of_width(line, kShownCells)) + "...";
    table.rows.push_back({std::to_string(shown.result.window), share(shown.result.probability),
                          glue(print_quantity(shown.result.growth, "nats")),
                          share(shown.result.changed), line});
  }
  return table;
}

Report build_prediction_report(const PredictionStory& story) {
  const PredictionResult& result = story.result;
  Report report{.kicker = "Checkbit report",
                .title = "Which inputs break " + story.model,
                .lead = describe_prediction(story),
                .opening = {},
                .sections = {},
                .environment = story.environment,
                .commands = {story.command}};
  for (const TargetResult& target : result.targets) {
    Section section{.title = "Foretelling that " + target.title, .blocks = {}};
    if (target.predictors.empty()) {
      section.blocks.emplace_back(
          Paragraph{fmt::format("{} of {} held-out {} fail: too few to tell predictors apart.",
                                target.failures, target.items, target.unit)});
    } else {
      section.blocks.emplace_back(auc_chart(target));
      Chart calibration = calibration_chart(target);
      if (!calibration.body.empty()) section.blocks.emplace_back(std::move(calibration));
      section.blocks.emplace_back(predictor_table(target));
    }
    report.sections.push_back(std::move(section));
  }
  report.sections.push_back({"Where the damage comes from", {layer_chart(result)}});
  constexpr std::size_t kSubgroups = 20;
  report.sections.push_back(
      {"Subgroups that fail", {subgroup_table(result.subgroups, kSubgroups)}});
  report.sections.push_back({"Windows at risk", {window_table(story)}});
  std::vector<Block> notes;
  for (const Predictor* predictor : all_predictors())
    notes.emplace_back(Paragraph{fmt::format("{}: {}.", predictor->name, predictor->summary)});
  notes.emplace_back(Paragraph{fmt::format(
      "{} windows fitted the predictors, {} turned scores into probabilities, {} were held out. A "
      "window is among the worst when its loss grows by {} a token or more.",
      result.windows[0], result.windows[1], result.windows[2],
      print_quantity(result.worst_growth, "nats"))});
  notes.emplace_back(Commands{"The command", {story.command}});
  report.sections.push_back({"How", std::move(notes)});
  return report;
}

}  // namespace checkbit
