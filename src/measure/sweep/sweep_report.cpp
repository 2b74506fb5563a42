#include "measure/sweep/sweep_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <optional>

#include "report/number.h"
#include "report/svg.h"
#include "score/estimate_record.h"

namespace checkbit {
namespace {

std::string mark(FrontPlace place) { return place == FrontPlace::on ? "*" : "~"; }

Estimate times(Estimate estimate, double factor) {
  estimate.value *= factor;
  if (estimate.interval.has_value()) {
    estimate.interval->low *= factor;
    estimate.interval->high *= factor;
  }
  return estimate;
}

std::optional<double> cost_of(const SweepPoint& point, FrontCost cost) {
  if (cost == FrontCost::bytes) return static_cast<double>(point.file.file_bytes);
  if (point.candidate.emulated || !point.seconds_per_token.has_value()) return std::nullopt;
  return point.seconds_per_token->value;
}

/// None when no candidate has a cost of this kind.
std::optional<Chart> front_chart(const StoredModel& model, FrontCost cost) {
  const std::vector<SweepPoint> points = points_of(model);
  const std::vector<FrontPlace> places = front_of(model, cost);
  const bool bytes = cost == FrontCost::bytes;
  std::vector<Point> drawn;
  for (std::size_t i = 0; i < model.candidates.size(); ++i) {
    const SweepPoint* point = point_named(points, model.candidates[i].candidate.name);
    if (point == nullptr || !cost_of(*point, cost)) continue;
    const double x = *cost_of(*point, cost);
    Point mark{.label = point->candidate.name,
               .x = bytes ? x : 1000 * x,
               .y = point->damage.value,
               .x_text = bytes ? print_quantity(x, "bytes") : print_quantity(1000 * x, "ms"),
               .y_text = print_estimate(point->damage, "") + " nats",
               .on_front = places[i] == FrontPlace::on};
    if (point->damage.interval.has_value()) {
      mark.low = point->damage.interval->low;
      mark.high = point->damage.interval->high;
    }
    drawn.push_back(std::move(mark));
  }
  if (drawn.empty()) return std::nullopt;
  return Chart{bytes ? "Size against damage" : "Time per token against damage",
               svg_points(drawn, bytes ? "bytes" : "ms", "nats per token"),
               "The line joins the front: nothing measured costs as little and damages less. Bars "
               "are 95 % intervals."};
}

Table table_of(const StoredModel& model) {
  return {"Every candidate, by size; * on the front, ~ not told apart from it", kSweepColumns,
          sweep_rows(model)};
}

/// "Of 9 types of smollm2-135m 5 are worth their size: CB2, CB3, ..."
std::string front_in_words(const StoredModel& model) {
  const std::vector<FrontPlace> places = front_of(model, FrontCost::bytes);
  std::string names;
  std::size_t count = 0;
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (places[i] != FrontPlace::on) continue;
    names += (count > 0 ? ", " : "") + model.candidates[i].candidate.name;
    ++count;
  }
  return fmt::format("Of {} {} of {}, {} {} less than all that are as small: {}.", places.size(),
                     places.size() == 1 ? "type" : "types", model.model.name, count,
                     count == 1 ? "loses" : "lose", names);
}

Section section_of(const StoredModel& model) {
  Section section{sweep_title(model), {}};
  for (const FrontCost cost : {FrontCost::bytes, FrontCost::seconds}) {
    if (auto chart = front_chart(model, cost)) section.blocks.emplace_back(std::move(*chart));
  }
  section.blocks.emplace_back(table_of(model));
  for (const StoredCandidate& stored : model.candidates) {
    if (!stored.broken.empty())
      section.blocks.emplace_back(
          Paragraph{stored.candidate.name + " cannot be measured: " + stored.broken});
  }
  return section;
}

Section section_of(const Law& law, const FittedLaw& fitted) {
  Section section{std::string(law.title), {}};
  section.blocks.emplace_back(Paragraph{std::string(law.formula)});
  if (!fitted.refused.empty()) {
    section.blocks.emplace_back(Paragraph{"Not fitted: " + fitted.refused});
    return section;
  }
  Table table{fmt::format("{}, residuals of {:.3g}", detail::counted_points(fitted.points),
                          fitted.residual_deviation),
              {"Parameter", "Value with 95 % interval"},
              {}};
  for (const LawParameter& parameter : fitted.parameters) {
    table.rows.push_back(
        {parameter.name,
         detail::in_words(parameter.fitted) +
             (parameter.fitted.interval.has_value() ? "" : " (not determined by these points)")});
  }
  section.blocks.emplace_back(std::move(table));
  for (const std::string& finding : fitted.findings)
    section.blocks.emplace_back(Paragraph{finding});
  return section;
}

}  // namespace

const std::vector<std::string> kSweepColumns = {"type",    "class",        "size",      "bits",
                                                "nats",    "perplexity ×", "changed %", "ms/token",
                                                "windows", "front"};

const SweepPoint* point_named(const std::vector<SweepPoint>& points, const std::string& name) {
  const auto found =
      std::ranges::find(points, name, [](const SweepPoint& point) { return point.candidate.name; });
  return found == points.end() ? nullptr : &*found;
}

std::string print_estimate(const Estimate& estimate, const std::string& unit) {
  const PrintedRecord printed = print_record(record_of("", unit, estimate));
  return printed.value + (printed.interval.empty() ? "" : " " + printed.interval);
}

std::string sweep_title(const StoredModel& model) {
  std::string texts;
  for (const auto& [hash, name] : model.texts) texts += (texts.empty() ? "" : ", ") + name;
  return fmt::format("{} ({}, {:.2f} bits per weight), {}, windows of {}", model.model.name,
                     print_quantity(static_cast<double>(model.model.file_bytes), "bytes"),
                     model.model.bits_per_weight, texts, model.context_tokens);
}

std::vector<std::vector<std::string>> sweep_rows(const StoredModel& model) {
  const std::vector<SweepPoint> points = points_of(model);
  const std::vector<FrontPlace> bytes = front_of(model, FrontCost::bytes);
  const std::vector<FrontPlace> seconds = front_of(model, FrontCost::seconds);
  std::vector<std::vector<std::string>> rows;
  for (std::size_t i = 0; i < model.candidates.size(); ++i) {
    const SweepPoint* point = point_named(points, model.candidates[i].candidate.name);
    if (point == nullptr) continue;
    std::string front = bytes[i] == FrontPlace::behind ? "" : "size" + mark(bytes[i]);
    if (seconds[i] != FrontPlace::behind)
      front += (front.empty() ? "" : " ") + ("time" + mark(seconds[i]));
    rows.push_back({point->candidate.name, point->candidate.method,
                    print_quantity(static_cast<double>(point->file.file_bytes), "bytes"),
                    fmt::format("{:.2f}", point->file.bits_per_weight),
                    print_estimate(point->damage, ""), print_estimate(point->perplexity_ratio, ""),
                    print_estimate(point->top1_changed, "share"),
                    point->seconds_per_token.has_value()
                        ? print_estimate(times(*point->seconds_per_token, 1000), "")
                        : "",
                    std::to_string(point->windows), front});
  }
  return rows;
}

Report build_sweep_report(const SweepStory& story) {
  Report report;
  report.kicker = "Checkbit sweep";
  report.title = story.models.size() == 1 ? "Which size of " + story.models[0].model.name
                                          : "Which size of which model";
  for (std::string verdict : story.verdicts) {
    verdict.front() = static_cast<char>(std::toupper(static_cast<unsigned char>(verdict.front())));
    report.lead += (report.lead.empty() ? "" : " ") + verdict + ".";
  }
  for (const StoredModel& model : story.models) {
    if (story.verdicts.empty()) report.lead += front_in_words(model) + " ";
  }
  for (const StoredModel& model : story.models) report.sections.push_back(section_of(model));
  for (const Law* law : all_laws()) {
    const auto fitted = std::ranges::find(story.laws, law->name, &FittedLaw::name);
    if (fitted != story.laws.end()) report.sections.push_back(section_of(*law, *fitted));
  }
  report.sections.push_back({"Again", {Commands{"These figures again:", {story.command}}}});
  report.environment = story.environment;
  report.commands = {story.command};
  return report;
}

}  // namespace checkbit
