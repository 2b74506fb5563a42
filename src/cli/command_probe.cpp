// checkbit probe: small made-up tests of one weakness each.

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>

#include "base/atomic_file.h"
#include "base/output_path.h"
#include "cli/command.h"
#include "cli/engine_flags.h"
#include "cli/read_input.h"
#include "measure/probes/probe_summary.h"
#include "measure/probes/session_model.h"
#include "report/html.h"
#include "report/number.h"
#include "report/render.h"
#include "report/text.h"

namespace checkbit {
namespace {

void list_probes(const Arguments& arguments, Console& console) {
  if (arguments.has("--json")) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const Probe* probe : all_probes()) {
      list.push_back({{"name", probe->name},
                      {"title", probe->title},
                      {"papers", probe->papers},
                      {"measures", probe->measures},
                      {"score", probe->score},
                      {"needs_reference", probe->needs_reference}});
    }
    console.out << nlohmann::ordered_json{{"probes", list}}.dump(2) << "\n";
    return;
  }
  TextTable table{.header = {"probe", "papers", "measures"}, .right = {false, false, false}};
  for (const Probe* probe : all_probes()) {
    const std::string needs = probe->needs_reference ? " (needs --against)" : "";
    table.rows.push_back({std::string(probe->name),
                          fmt::format("{}", fmt::join(probe->papers, " ")),
                          std::string(probe->measures) + needs});
  }
  console.out << table.render(console.out_terminal, 0);
}

/// Those to run: one by name, or with "all" every one that can run.
Result<std::vector<const Probe*>> chosen_probes(const Arguments& arguments, Console& console) {
  const std::string name = arguments.text("NAME");
  const bool paired = arguments.has("--against");
  if (name != "all") {
    const Probe* probe = find_probe(name);
    if (probe == nullptr)
      return fail(ErrorKind::not_found, "no probe is called {}; see `checkbit probe --list`", name);
    if (probe->needs_reference && !paired)
      return fail(ErrorKind::invalid, "probe {} compares two models: give --against REFERENCE",
                  name);
    return std::vector{probe};
  }
  std::vector<const Probe*> probes;
  for (const Probe* probe : all_probes()) {
    if (paired || !probe->needs_reference) {
      probes.push_back(probe);
    } else {
      console.note(fmt::format("{} is left out: it needs --against REFERENCE", probe->name));
    }
  }
  return probes;
}

std::string in_cell(const std::optional<Estimate>& estimate) {
  return estimate ? print_with_interval(share_record("", *estimate)) : "";
}

void print_scores(const ProbeStory& story, Console& console) {
  TextTable table{.header = {"items", "", "model"}, .right = {true, false, true}};
  const bool paired = !story.result.reference.empty();
  if (paired) {
    table.header.insert(table.header.end(), {"reference", "difference"});
    table.right.insert(table.right.end(), {true, true});
  }
  for (const ProbeFigure& figure : summarize_probe(story.result)) {
    table.rows.push_back({std::to_string(figure.items), figure.group.empty() ? "all" : figure.group,
                          in_cell(figure.subject)});
    if (!paired) continue;
    table.rows.back().push_back(in_cell(figure.reference));
    table.rows.back().push_back(in_cell(figure.difference));
  }
  console.out << table.render(console.out_terminal, 2);
}

void print_table(const Table& table, Console& console) {
  console.out << "\n  " << table.caption << "\n"
              << text_table(table).render(console.out_terminal, 2);
}

void print_story(const ProbeStory& story, Console& console) {
  console.out << wrap(clean_line(describe_probe(*story.probe, story.result)),
                      console.out_terminal.width, 0);
  if (!story.result.items.empty()) print_scores(story, console);
  for (const Block& block : story.result.blocks) {
    if (const auto* table = std::get_if<Table>(&block)) print_table(*table, console);
  }
  if (!story.result.records.empty()) {
    console.out << "\n"
                << render_table(story.result.records,
                                {.width = static_cast<std::size_t>(console.out_terminal.width),
                                 .colour = console.out_terminal.colour});
  }
  console.out << "\n";
}

nlohmann::ordered_json items_of(const ProbeResult& result) {
  nlohmann::ordered_json items = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < result.items.size(); ++i) {
    nlohmann::ordered_json item = {{"group", result.items[i].group},
                                   {"shown", valid_utf8(result.items[i].shown)},
                                   {"score", result.subject[i].score},
                                   {"answer", valid_utf8(result.subject[i].answer)}};
    if (!result.reference.empty()) {
      item["score_reference"] = result.reference[i].score;
      item["answer_reference"] = valid_utf8(result.reference[i].answer);
    }
    items.push_back(std::move(item));
  }
  return items;
}

std::string as_json(const std::vector<ProbeStory>& stories, const Arguments& arguments,
                    Console& console, const std::string& model, const std::string& reference) {
  std::vector<Record> records;
  nlohmann::ordered_json items;
  for (const ProbeStory& story : stories) {
    for (Record& record : probe_records(*story.probe, story.result, console.command_line))
      records.push_back(std::move(record));
    items[std::string(story.probe->name)] = items_of(story.result);
  }
  nlohmann::ordered_json extra = {{"model", model}, {"seed", arguments.integer("--seed")}};
  if (!reference.empty()) extra["reference"] = reference;
  extra["items"] = std::move(items);
  return render_json(records, describe_environment(), extra);
}

Status run(const Arguments& arguments, Console& console) {
  if (arguments.has("--list")) {
    list_probes(arguments, console);
    return {};
  }
  const std::string page = arguments.text("--report");
  if (!page.empty()) CB_TRY_STATUS(check_output_path(page));
  CB_TRY(const std::vector<const Probe*> probes, chosen_probes(arguments, console));
  SessionOptions options = session_options(arguments, console);
  options.context_tokens = arguments.integer("--context");
  options.max_logits = kProbeLogits;
  CB_TRY(Session session, open_session(arguments.text("MODEL"), options, console));
  SessionModel subject(session);
  std::optional<Session> other;
  std::optional<SessionModel> reference;
  if (arguments.has("--against")) {
    options.cache_type = std::nullopt;
    CB_TRY(other, open_session(arguments.text("--against"), options, console));
    reference.emplace(*other);
  }
  ProbeContext context{.subject = subject,
                       .reference = reference ? &*reference : nullptr,
                       .seed = static_cast<std::uint64_t>(arguments.integer("--seed")),
                       .limit = static_cast<std::size_t>(arguments.integer("--limit"))};
  if (arguments.has("--data")) {
    context.data_name = arguments.text("--data");
    CB_TRY(context.data, read_text_input(context.data_name, console));
  }
  const bool json = arguments.has("--json");
  std::vector<ProbeStory> stories;
  for (const Probe* probe : probes) {
    CB_TRY(ProbeResult result, probe->run(context));
    stories.push_back({probe, std::move(result)});
    if (!json) print_story(stories.back(), console);
  }
  const std::string reference_name = reference ? reference->name() : "";
  if (!page.empty()) {
    CB_TRY_STATUS(write_file_atomically(
        page, render_html(build_probe_report(stories, subject.name(), reference_name,
                                             console.command_line))));
  }
  if (json) console.out << as_json(stories, arguments, console, subject.name(), reference_name);
  for (const ProbeStory& story : stories) CB_TRY_STATUS(story.result.verdict);
  return {};
}

std::vector<Flag> flags() {
  std::vector<Flag> list = with_engine_flags(
      {kAgainstFlag,
       {.name = "--list", .help = "show the probes and what they measure"},
       {.name = "--seed",
        .kind = ValueKind::integer,
        .value_name = "N",
        .help = "what the items are drawn from",
        .default_value = "1"},
       {.name = "--limit",
        .kind = ValueKind::integer,
        .value_name = "N",
        .help = "about so many items a probe; 0: its usual number",
        .default_value = "0"},
       {.name = "--data",
        .kind = ValueKind::path,
        .value_name = "FILE",
        .help = "items for self_correction in place of made-up ones: a file of ARC"},
       kReportFlag,
       kJsonFlag});
  Flag& context = flag_named(list, "--context");
  context.help = "tokens of context; no item of the probes here needs more than the default";
  context.default_value = "2048";
  return list;
}

Status check(const Arguments& arguments) {
  if (arguments.has("--list")) return {};
  if (!arguments.has("NAME"))
    return fail(ErrorKind::invalid,
                "probe: give a NAME or all, and a MODEL; --list shows the names");
  if (!arguments.has("MODEL")) return fail(ErrorKind::invalid, "probe: MODEL is missing");
  return {};
}

}  // namespace

extern const Command probe_command;
const Command probe_command = {
    .name = "probe",
    .group = "Models",
    .summary = "small tests of one weakness each",
    .description =
        "Asks a model, and its reference when there is one, made-up questions that aim at one "
        "weakness: memory over distance, sensitivity to small edits, refusals, and so on. The same "
        "seed makes the same items; both models answer all of them, and the difference is paired, "
        "with its 95 % interval.\n\n"
        "A difference whose interval holds 0 can be chance: --limit with a larger number asks "
        "more.",
    .positionals =
        {{.name = "NAME", .kind = ValueKind::text, .help = "a probe, or all", .optional = true},
         {.name = "MODEL",
          .kind = ValueKind::model,
          .help = "a GGUF file or a pulled name",
          .optional = true}},
    .flags = flags(),
    .examples = {{.command = "checkbit probe --list"},
                 {.command = "checkbit probe flip_flop smollm2-135m"},
                 {.command =
                      "checkbit probe all small.gguf --against smollm2-135m --report probes.html"},
                 {.command = "checkbit probe safety small.gguf --against smollm2-135m --json"}},
    .check = check,
    .run = run};

}  // namespace checkbit
