#include "cli/sweep_output.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "measure/sweep/sweep_report.h"
#include "report/number.h"
#include "report/render.h"
#include "report/text.h"

namespace checkbit {
namespace {

const char* place_name(FrontPlace place) {
  return place == FrontPlace::on ? "on" : place == FrontPlace::near ? "near" : "behind";
}

std::vector<std::string> remarks_on(const StoredModel& model) {
  std::vector<std::string> remarks;
  for (const StoredCandidate& stored : model.candidates) {
    if (!stored.broken.empty())
      remarks.push_back(stored.candidate.name + " cannot be measured: " + stored.broken);
  }
  return remarks;
}

std::string outcome_in_words(const SweepOutcome& outcome) {
  std::string words = fmt::format("{} measured now", outcome.done);
  if (outcome.left > 0) {
    words += fmt::format(
        "; {} more did not fit into the budget (about {} more): the same command goes on there",
        outcome.left, format_duration(outcome.seconds_left));
  }
  if (outcome.elsewhere > 0)
    words += fmt::format("; {} are being measured by another run", outcome.elsewhere);
  return words;
}

nlohmann::ordered_json json_of(const StoredModel& model, const std::string& command) {
  const std::vector<SweepPoint> points = points_of(model);
  const std::vector<FrontPlace> bytes = front_of(model, FrontCost::bytes);
  const std::vector<FrontPlace> seconds = front_of(model, FrontCost::seconds);
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < model.candidates.size(); ++i) {
    const StoredCandidate& stored = model.candidates[i];
    nlohmann::ordered_json entry = {{"candidate", valid_utf8(stored.candidate.name)},
                                    {"method", stored.candidate.method},
                                    {"emulated", stored.candidate.emulated}};
    if (stored.candidate.emulated) {
      entry["exponent_bits"] = stored.candidate.exponent_bits;
      entry["mantissa_bits"] = stored.candidate.mantissa_bits;
      entry["block"] = stored.candidate.block;
    }
    if (!stored.broken.empty()) entry["broken"] = valid_utf8(stored.broken);
    if (!stored.file.note.empty()) entry["note"] = valid_utf8(stored.file.note);
    entry["front_bytes"] = place_name(bytes[i]);
    entry["front_seconds"] = place_name(seconds[i]);
    if (const SweepPoint* point = point_named(points, stored.candidate.name); point != nullptr) {
      const std::string rendered = render_json(to_records(*point, command), {});
      entry["records"] = nlohmann::ordered_json::parse(rendered)["records"];
    }
    list.push_back(std::move(entry));
  }
  return {
      {"model", valid_utf8(model.model.name)},  {"parameters", model.model.parameters},
      {"file_bytes", model.model.file_bytes},   {"bits_per_weight", model.model.bits_per_weight},
      {"context_tokens", model.context_tokens}, {"candidates", std::move(list)}};
}

nlohmann::ordered_json json_of(const FittedLaw& law) {
  nlohmann::ordered_json entry = {{"law", law.name}};
  if (!law.refused.empty()) entry["refused"] = law.refused;
  entry["points"] = law.points;
  entry["residual_deviation"] = law.residual_deviation;
  entry["findings"] = law.findings;
  return entry;
}

/// Without class, perplexity, windows and the interval of speeds, so that it fits a terminal.
TextTable narrow_table(const StoredModel& model) {
  constexpr std::size_t kKept[] = {0, 2, 3, 4, 6, 7, 9};
  TextTable table{{}, {false, true, true, true, true, true, false}, {}};
  for (const std::size_t column : kKept) table.header.push_back(kSweepColumns[column]);
  for (const std::vector<std::string>& row : sweep_rows(model)) {
    table.rows.emplace_back();
    for (const std::size_t column : kKept) {
      const bool speed = kSweepColumns[column] == "ms/token";
      table.rows.back().push_back(speed ? row[column].substr(0, row[column].find(' '))
                                        : row[column]);
    }
  }
  return table;
}

void print_laws(const SweepFindings& findings, Console& console) {
  for (const Law* law : all_laws()) {
    const auto fitted = std::ranges::find(findings.laws, law->name, &FittedLaw::name);
    if (fitted == findings.laws.end()) continue;
    console.out << "\n"
                << console.out_terminal.style(Style::heading, law->title)
                << fmt::format("  {}\n", law->formula);
    if (!fitted->refused.empty()) {
      console.out << wrap("not fitted: " + fitted->refused, console.out_terminal.width, 2);
      continue;
    }
    for (const LawParameter& parameter : fitted->parameters) {
      console.out << fmt::format("  {}  {}{}\n", pad_right(parameter.name, 30),
                                 detail::in_words(parameter.fitted),
                                 parameter.fitted.interval ? "" : " (not determined)");
    }
    console.out << fmt::format("  {}, residuals of {:.3g}\n",
                               detail::counted_points(fitted->points), fitted->residual_deviation);
    for (const std::string& finding : fitted->findings)
      console.out << wrap(clean_line(finding), console.out_terminal.width, 2);
  }
}

}  // namespace

std::string best_in_words(const StoredModel& model, std::uint64_t under_bytes) {
  const std::string size = print_quantity(static_cast<double>(under_bytes), "bytes");
  const std::optional<BestUnder> best = best_under(model, under_bytes);
  if (!best.has_value()) {
    std::uint64_t smallest = 0;
    for (const StoredCandidate& stored : model.candidates) {
      if (stored.candidate.emulated || stored.windows.empty()) continue;
      smallest =
          smallest == 0 ? stored.file.file_bytes : std::min(smallest, stored.file.file_bytes);
    }
    return fmt::format("nothing measured of {} is under {}; the smallest takes {}",
                       model.model.name, size,
                       print_quantity(static_cast<double>(smallest), "bytes"));
  }
  const StoredCandidate& stored = model.candidates[best->best];
  const std::vector<SweepPoint> points = points_of(model);
  const SweepPoint& point = *point_named(points, stored.candidate.name);
  std::string words = fmt::format(
      "best of {} under {}: {}, {}, {} nats ", model.model.name, size, stored.candidate.name,
      print_quantity(static_cast<double>(stored.file.file_bytes), "bytes"),
      print_estimate(point.damage, ""));
  if (best->rivals.empty()) return words + "(beyond doubt among those measured)";
  words += "(not told apart from it:";
  for (const std::size_t rival : best->rivals)
    words += " " + model.candidates[rival].candidate.name;
  return words + ")";
}

void print_findings(const SweepFindings& findings, Console& console) {
  for (const StoredModel& model : findings.models) {
    console.out << "\n"
                << console.out_terminal.style(Style::heading, clean_line(sweep_title(model)))
                << "\n";
    const TextTable table = narrow_table(model);
    console.out << table.render(console.out_terminal, 0);
    for (const std::string& remark : remarks_on(model))
      console.out << wrap(clean_line(remark), console.out_terminal.width, 0);
    if (findings.under_bytes.has_value()) {
      console.out << wrap(clean_line(best_in_words(model, *findings.under_bytes)),
                          console.out_terminal.width, 0);
    }
  }
  if (!findings.models.empty()) {
    console.out << wrap(
        "* on the front of size or time against damage, ~ not told apart from it. Intervals are "
        "95 %; fewer than six windows give none.",
        console.out_terminal.width, 0);
  }
  print_laws(findings, console);
  if (findings.outcome.has_value())
    console.out << "\n" << wrap(outcome_in_words(*findings.outcome), console.out_terminal.width, 0);
}

Report findings_as_report(const SweepFindings& findings) {
  SweepStory story{.models = findings.models,
                   .laws = findings.laws,
                   .verdicts = {},
                   .command = findings.command,
                   .environment = describe_environment()};
  if (findings.under_bytes.has_value()) {
    for (const StoredModel& model : findings.models)
      story.verdicts.push_back(best_in_words(model, *findings.under_bytes));
  }
  return build_sweep_report(story);
}

std::string findings_as_json(const SweepFindings& findings) {
  std::vector<Record> records;
  nlohmann::ordered_json laws = nlohmann::ordered_json::array();
  for (const FittedLaw& law : findings.laws) {
    for (Record& record : to_records(law, findings.command)) records.push_back(std::move(record));
    laws.push_back(json_of(law));
  }
  nlohmann::ordered_json models = nlohmann::ordered_json::array();
  for (const StoredModel& model : findings.models) {
    models.push_back(json_of(model, findings.command));
    if (findings.under_bytes.has_value())
      models.back()["best_under"] = best_in_words(model, *findings.under_bytes);
  }
  nlohmann::ordered_json extra = {{"models", std::move(models)}, {"laws", std::move(laws)}};
  if (findings.outcome.has_value()) {
    extra["measured_now"] = findings.outcome->done;
    extra["left"] = findings.outcome->left;
    extra["elsewhere"] = findings.outcome->elsewhere;
  }
  return render_json(records, describe_environment(), extra);
}

std::string findings_as_markdown(const SweepFindings& findings) {
  std::string text;
  const auto line = [&](const std::vector<std::string>& cells) {
    for (const std::string& cell_text : cells) text += "| " + valid_utf8(cell_text) + " ";
    text += "|\n";
  };
  for (const StoredModel& model : findings.models) {
    text += fmt::format("\n**{}**\n\n", valid_utf8(sweep_title(model)));
    line(kSweepColumns);
    line(std::vector<std::string>(kSweepColumns.size(), "---"));
    for (const auto& row : sweep_rows(model)) line(row);
  }
  return text;
}

}  // namespace checkbit
