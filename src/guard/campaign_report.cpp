#include "guard/campaign_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "report/number.h"
#include "report/svg.h"
#include "score/estimate_record.h"

namespace checkbit {
namespace {

OutcomeCounts total_outcomes(const CampaignStory& story) {
  OutcomeCounts total;
  for (const CellSummary& cell : story.cells) total.add(cell.outcomes);
  return total;
}

std::string with_half_width(double value, const std::optional<double>& half, int digits) {
  if (!half) return fmt::format("{:.{}g}", value, digits);
  return fmt::format("{:.{}g} ± {:.2g}", value, digits, *half);
}

/// What a cell is told apart by: its rate or number of faults, and what is selected.
std::string faults_of(const FaultSpec& spec) {
  return spec.rate > 0 ? fmt::format("{:.3g} of bits", spec.rate) : fmt::format("{}", spec.count);
}

std::string hit_of(const FaultSpec& spec) {
  const FaultSpec usual;
  std::string text = spec.field.text;
  if (spec.place != usual.place) text += fmt::format(" in {}", to_string(spec.place));
  if (spec.tensor != usual.tensor) text += " of " + spec.tensor;
  if (spec.layer >= 0) text += fmt::format(", layer {}", spec.layer);
  if (spec.burst > 1) text += fmt::format(", {} bits in a row", spec.burst);
  if (spec.stuck) text += fmt::format(", stuck at {}", *spec.stuck ? 1 : 0);
  if (spec.page_bytes > 0) text += fmt::format(", {} bytes lost", spec.page_bytes);
  if (spec.token > 0) text += fmt::format(", at token {}", spec.token);
  return text;
}

/// Cells with a rate, by what they hit.
std::map<std::string, std::vector<const CellSummary*>> curves_of(const CampaignStory& story) {
  std::map<std::string, std::vector<const CellSummary*>> curves;
  for (const CellSummary& cell : story.cells) {
    if (cell.spec.rate > 0 && cell.trials > 0) curves[hit_of(cell.spec)].push_back(&cell);
  }
  for (auto& [name, cells] : curves)
    std::ranges::sort(cells, {}, [](const CellSummary* cell) { return cell->spec.rate; });
  return curves;
}

std::string divergence_chart(const CampaignStory& story) {
  std::vector<Curve> curves;
  for (const auto& [name, cells] : curves_of(story)) {
    Curve curve{.label = name, .text = "", .points = {}};
    for (const CellSummary* cell : cells) {
      CurvePoint point{.x = cell->spec.rate, .y = cell->divergence};
      if (cell->divergence_half_width) {
        point.low = std::max(0.0, cell->divergence - *cell->divergence_half_width);
        point.high = cell->divergence + *cell->divergence_half_width;
      }
      curve.points.push_back(point);
    }
    curves.push_back(std::move(curve));
  }
  return curves.empty() ? std::string() : svg_curves(curves, "bit error rate", "nats a token");
}

nlohmann::ordered_json cell_json(const CellSummary& cell) {
  nlohmann::ordered_json json = {{"fault", to_string(cell.spec)},
                                 {"place", to_string(cell.spec.place)},
                                 {"field", cell.spec.field.text},
                                 {"rate", cell.spec.rate},
                                 {"trials", cell.trials},
                                 {"precise", cell.precise},
                                 {"faults_mean", cell.faults},
                                 {"not_finite", cell.not_finite},
                                 {"broken", cell.broken},
                                 {"divergence", cell.divergence},
                                 {"divergence_median", cell.divergence_median},
                                 {"changed", cell.changed},
                                 {"alarms", cell.alarms},
                                 {"checks", cell.checks},
                                 {"skipped_checks", cell.skipped_checks}};
  for (std::size_t i = 0; i < kOutcomes; ++i)
    json[std::string(to_string(static_cast<Outcome>(i)))] = cell.outcomes.of[i];
  if (cell.divergence_half_width) json["divergence_half_width"] = *cell.divergence_half_width;
  if (cell.score) json["score"] = *cell.score;
  if (cell.score_half_width) json["score_half_width"] = *cell.score_half_width;
  return json;
}

void add_outcomes(const CampaignStory& story, std::vector<Record>& records) {
  const OutcomeCounts total = total_outcomes(story);
  const auto add = [&](std::string name, std::uint64_t value, std::string unit) {
    records.push_back({.name = std::move(name),
                       .value = static_cast<double>(value),
                       .unit = std::move(unit),
                       .command = story.command});
  };
  add("fault_trials", total.total(), "trials");
  for (std::size_t i = 0; i < kOutcomes; ++i) {
    records.push_back(share_of(fmt::format("faults_{}", to_string(static_cast<Outcome>(i))),
                               total.of[i], total.total(), story.command));
  }
  std::uint64_t checks = 0;
  std::uint64_t skipped = 0;
  for (const CellSummary& cell : story.cells) {
    checks += cell.checks;
    skipped += cell.skipped_checks;
  }
  add("checks_executed", checks, "checks");
  add("trials_with_skipped_checks", skipped, "trials");
}

}  // namespace

std::string describe_campaign(const CampaignStory& story) {
  const OutcomeCounts total = total_outcomes(story);
  if (story.cells.empty()) {
    return fmt::format("{} ({}, guard {}), over {} tokens a trial:", story.setting.model,
                       story.setting.format, story.setting.guard, story.text_tokens);
  }
  return fmt::format(
      "{} ({}, guard {}): {} trials over {} tokens each: {} corrected, {} detected, {} benign, {} "
      "silent.",
      story.setting.model, story.setting.format, story.setting.guard, total.total(),
      story.text_tokens, total[Outcome::corrected], total[Outcome::detected],
      total[Outcome::benign], total[Outcome::silent]);
}

Table campaign_table(const CampaignStory& story) {
  Table table{.caption =
                  "Divergence in nats a token from the unharmed model, mean over trials; "
                  "broken: more than 0.1",
              .columns = {"hit", "faults", "trials", "benign", "silent", "noticed", "broken",
                          "divergence", "choices changed"},
              .rows = {}};
  const bool scored = story.clean_score.has_value();
  if (scored) table.columns.emplace_back(story.setting.scorer);
  for (const CellSummary& cell : story.cells) {
    const auto trials = static_cast<double>(std::max<std::size_t>(cell.trials, 1));
    table.rows.push_back(
        {hit_of(cell.spec), faults_of(cell.spec), std::to_string(cell.trials),
         std::to_string(cell.outcomes[Outcome::benign]),
         std::to_string(cell.outcomes[Outcome::silent]),
         std::to_string(cell.outcomes[Outcome::corrected] + cell.outcomes[Outcome::detected]),
         print_quantity(static_cast<double>(cell.broken) / trials, "share"),
         with_half_width(cell.divergence, cell.divergence_half_width, 3),
         print_quantity(cell.changed, "share")});
    if (scored)
      table.rows.back().push_back(
          cell.score ? with_half_width(*cell.score, cell.score_half_width, 3) : "");
  }
  return table;
}

Table survival_table(const CampaignStory& story) {
  Table table{.caption = "Bit error rate at which the model is as likely broken as not",
              .columns = {"field", "survives", "breaks", "trials"},
              .rows = {}};
  for (const SurvivedRate& rate : story.survived)
    table.rows.push_back({rate.field, fmt::format("{:.2g}", rate.low),
                          fmt::format("{:.2g}", rate.high), std::to_string(rate.trials)});
  return table;
}

std::vector<Record> campaign_records(const CampaignStory& story) {
  std::vector<Record> records;
  if (!story.cells.empty()) add_outcomes(story, records);
  for (const SurvivedRate& rate : story.survived) {
    records.push_back({.name = "bit_error_rate_survived",
                       .value = std::sqrt(rate.low * rate.high),
                       .unit = "",
                       .low = rate.low,
                       .high = rate.high,
                       .command = story.command,
                       .subject = rate.field});
  }
  return records;
}

nlohmann::ordered_json campaign_json(const CampaignStory& story) {
  nlohmann::ordered_json cells = nlohmann::ordered_json::array();
  for (const CellSummary& cell : story.cells) cells.push_back(cell_json(cell));
  nlohmann::ordered_json json = {
      {"model", story.setting.model},   {"format", story.setting.format},
      {"guard", story.setting.guard},   {"text_tokens", story.text_tokens},
      {"scorer", story.setting.scorer}, {"cells", std::move(cells)}};
  if (story.clean_score) json["clean_score"] = *story.clean_score;
  return json;
}

Report campaign_report(const CampaignStory& story) {
  Report report{.kicker = "Checkbit fault campaign",
                .title = story.setting.model,
                .lead = describe_campaign(story),
                .opening = {},
                .sections = {},
                .environment = describe_environment()};
  Figures figures;
  const std::vector<Record> records = campaign_records(story);
  for (const Record& record : records) {
    if (record.name == "faults_silent")
      figures.figures.push_back(
          make_figure(record, "Silent", "not noticed, another result", Tone::contrast));
    if (record.name == "faults_benign")
      figures.figures.push_back(make_figure(record, "Benign", "the same logits to the bit"));
    if (record.name == "faults_corrected")
      figures.figures.push_back(
          make_figure(record, "Corrected", "noticed, the same result", Tone::accent));
  }
  report.opening.emplace_back(std::move(figures));
  Section damage{.title = "Damage", .blocks = {}};
  const std::string chart = divergence_chart(story);
  if (!chart.empty()) {
    damage.blocks.emplace_back(
        Chart{"Divergence over bit error rate", chart,
              "Mean over trials of the divergence from the unharmed model, with 95 % intervals "
              "that hold however many trials there were."});
  }
  damage.blocks.emplace_back(campaign_table(story));
  report.sections.push_back(std::move(damage));
  if (!story.survived.empty())
    report.sections.push_back({.title = "What it survives", .blocks = {survival_table(story)}});
  report.sections.push_back(
      {.title = "Again", .blocks = {Commands{"The same figures", {story.command}}}});
  return report;
}

}  // namespace checkbit
