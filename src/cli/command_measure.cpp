// checkbit measure: what quantized models lost against their reference.

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <ostream>

#include "base/atomic_file.h"
#include "base/output_path.h"
#include "cli/command.h"
#include "cli/comparison_facts.h"
#include "cli/engine_flags.h"
#include "cli/measure_inputs.h"
#include "cli/read_input.h"
#include "measure/report.h"
#include "measure/saved_run.h"
#include "report/html.h"
#include "report/render.h"
#include "report/text.h"

namespace checkbit {
namespace {

/// Names of files, apart where they are alike.
std::string distinct_name(const ComparisonStory& story, const std::string& name) {
  const auto taken = [&](const std::string& wanted) {
    return std::ranges::any_of(story.candidates, [&](const CandidateStory& candidate) {
      return candidate.facts.name == wanted;
    });
  };
  std::string distinct = name;
  for (int number = 2; taken(distinct); ++number) distinct = fmt::format("{} ({})", name, number);
  return distinct;
}

ComparisonStory make_story(const MeasureInputs& inputs, ComparisonResult result,
                           const Console& console) {
  ComparisonStory story;
  for (std::size_t i = 0; i < inputs.models.size(); ++i) {
    CandidateStory candidate{.facts = facts_of(inputs.models[i]),
                             .result = std::move(result.candidates[i]),
                             .examples = {},
                             .command = console.command_line};
    candidate.facts.name = distinct_name(story, candidate.facts.name);
    if (candidate.result.divergence) {
      candidate.examples =
          in_text(candidate.result.divergence->examples, inputs.models[i].tokenizer());
    }
    story.candidates.push_back(std::move(candidate));
  }
  if (inputs.reference) story.reference = facts_of(*inputs.reference);
  story.run = std::move(result);
  story.text_name = inputs.text_name;
  story.environment = describe_environment();
  return story;
}

/// Of several candidates each record names its own.
std::vector<Record> records_of(const ComparisonStory& story, const MeasureInputs& inputs,
                               const Console& console) {
  const bool several = story.candidates.size() > 1;
  std::vector<Record> records;
  const auto add = [&](Record record, const std::string& subject) {
    record.subject = subject;
    records.push_back(std::move(record));
  };
  for (std::size_t i = 0; i < story.candidates.size(); ++i) {
    const CandidateStory& candidate = story.candidates[i];
    const std::string subject = several ? candidate.facts.name : "";
    for (Record& record : to_records(candidate.result, console.command_line)) {
      add(std::move(record), subject);
    }
    for (Record& record : session_records(console, inputs.models[i])) {
      const bool of_process = record.name == "peak_bytes";
      if (!of_process || i == 0) add(std::move(record), of_process ? "" : subject);
    }
  }
  const std::size_t models = story.candidates.size() + (story.reference ? 1 : 0);
  for (Record& record : run_records(story.run, models, console.command_line)) {
    add(std::move(record), "");
  }
  return records;
}

Status write_page(const Arguments& arguments, const ComparisonStory& story) {
  if (!arguments.has("--report")) return {};
  return write_file_atomically(arguments.text("--report"),
                               render_html(build_comparison_report(story)));
}

void print_json(const ComparisonStory& story, std::span<const Record> records,
                const MeasureInputs& inputs, Console& console) {
  const nlohmann::ordered_json extra = {{"model", valid_utf8(story.candidates.front().facts.name)},
                                        {"kv_cache", to_string(inputs.models.front().cache_type())},
                                        {"text", valid_utf8(story.text_name)},
                                        {"measurement", saved_measurement(story)}};
  console.out << render_json(records, story.environment, extra);
}

/// A report's table on a terminal.
std::string in_columns(const Table& table, const Terminal& terminal) {
  TextTable columns{.header = table.columns, .right = {}, .rows = table.rows};
  for (std::size_t i = 0; i < table.columns.size(); ++i) columns.right.push_back(i > 0);
  for (auto& row : columns.rows) {
    for (auto& cell : row) cell = clean_line(cell);
  }
  return columns.render(terminal, 0);
}

void print_text(const ComparisonStory& story, std::span<const Record> records, Console& console) {
  const Terminal& terminal = console.out_terminal;
  const TableOptions options{.width = static_cast<std::size_t>(terminal.width),
                             .colour = terminal.colour};
  const auto paragraph = [&](const std::string& words) {
    if (!words.empty()) console.out << wrap(clean_line(words), terminal.width, 0) << "\n";
  };
  paragraph(describe_change(story));
  paragraph(describe_early_stop(story.run));
  if (story.candidates.size() == 1) {
    console.out << render_table(records, options);
    return;
  }
  console.out << in_columns(candidate_table(story), terminal) << "\n";
  if (const Table pairs = paired_table(story); !pairs.rows.empty()) {
    paragraph(pairs.caption);
    console.out << in_columns(pairs, terminal) << "\n";
  }
  std::vector<Record> shared;
  std::ranges::copy_if(records, std::back_inserter(shared),
                       [](const Record& record) { return record.subject.empty(); });
  console.out << render_table(shared, options);
}

/// A broken candidate fails the command, after everything else was said.
Status broken_candidates(const ComparisonStory& story) {
  for (const CandidateStory& candidate : story.candidates) {
    if (candidate.result.broken) return fail(ErrorKind::corrupt, "{}", *candidate.result.broken);
  }
  return {};
}

Status measure(const Arguments& arguments, Console& console) {
  CB_TRY(MeasureInputs inputs, open_measure_inputs(arguments, console));
  CB_TRY(ComparisonResult result, run_measurement(arguments, inputs, console));
  const ComparisonStory story = make_story(inputs, std::move(result), console);
  const auto healthy = ranked(story);
  if (!healthy.empty() && !healthy.front()->result.perplexity.interval) {
    console.note(
        fmt::format("{} windows are too few for intervals: a longer text or a smaller "
                    "--context gives more",
                    story.run.windows));
  }
  const std::vector<Record> records = records_of(story, inputs, console);
  CB_TRY_STATUS(write_page(arguments, story));
  if (arguments.has("--json")) {
    print_json(story, records, inputs, console);
  } else {
    print_text(story, records, console);
  }
  return broken_candidates(story);
}

Result<ComparisonStory> read_run(const std::string& path, Console& console) {
  CB_TRY(const std::string json, read_text_input(path, console));
  return read_saved_run(json, path);
}

/// Draws two runs from their JSON.
Status compare_saved(const Arguments& arguments, Console& console) {
  const std::vector<std::string> files = arguments.texts("MODEL");
  CB_TRY(ComparisonStory first, read_run(files[0], console));
  CB_TRY(ComparisonStory second, read_run(files[1], console));
  if (const std::string obstacle = pairing_obstacle(first, second); !obstacle.empty()) {
    console.note(fmt::format("{}: the two stand side by side, but are not paired", obstacle));
  }
  CB_TRY(ComparisonStory story, join_runs(std::move(first), files[0], std::move(second), files[1]));
  story.more_commands.push_back(console.command_line);
  CB_TRY_STATUS(write_page(arguments, story));
  if (arguments.has("--json")) {
    const nlohmann::ordered_json extra = {{"measurement", saved_measurement(story)}};
    console.out << render_json({}, story.environment, extra);
  } else {
    print_text(story, {}, console);
  }
  return {};
}

Status run(const Arguments& arguments, Console& console) {
  if (arguments.has("--report")) CB_TRY_STATUS(check_output_path(arguments.text("--report")));
  return arguments.has("--compare") ? compare_saved(arguments, console)
                                    : measure(arguments, console);
}

Status check(const Arguments& arguments) {
  if (arguments.has("--compare")) {
    if (arguments.texts("MODEL").size() == 2) return {};
    return fail(ErrorKind::invalid, "measure: --compare takes two files that --json wrote");
  }
  if (!arguments.has("--text")) return fail(ErrorKind::invalid, "measure: --text FILE is missing");
  if (arguments.has("--until") && !parse_share(arguments.text("--until"))) {
    return fail(ErrorKind::invalid,
                "measure: --until: '{}' is no share between 0 and 100 %: write 2% or 0.02",
                arguments.text("--until"));
  }
  return {};
}

std::vector<Flag> flags() {
  std::vector<Flag> list = with_engine_flags(
      {{.name = "--against",
        .kind = ValueKind::model,
        .value_name = "REFERENCE",
        .help = "the model before it was quantized"},
       {.name = "--text",
        .kind = ValueKind::path,
        .value_name = "FILE",
        .help = "what all read; - is standard input"},
       {.name = "--windows",
        .kind = ValueKind::integer,
        .value_name = "N",
        .help = "only the first N windows of the text; 0 for all [256, with --until all]"},
       {.name = "--until",
        .kind = ValueKind::text,
        .value_name = "SHARE",
        .help = "read windows in random order and stop when the interval of the mean divergence "
                "(without --against, of the perplexity) is within SHARE of it, as 2%"},
       {.name = "--seed",
        .kind = ValueKind::integer,
        .value_name = "N",
        .help = "of the order of windows with --until",
        .default_value = "1"},
       {.name = "--document-break",
        .kind = ValueKind::text,
        .value_name = "LINE",
        .help = "the line that stands before each document [titles of wiki articles]"},
       {.name = "--compare", .help = "take two files that --json wrote in place of models"},
       {.name = "--report",
        .kind = ValueKind::path,
        .value_name = "FILE",
        .help = "also write a page with charts"},
       kJsonFlag});
  for (auto& flag : list) {
    if (flag.name == "--kv-cache")
      flag.help =
          "how MODEL keeps keys and values; REFERENCE keeps f16, with --activations f32 f32";
    if (flag.name != "--context") continue;
    flag.help = "tokens of a window; its second half is scored";
    flag.default_value = "512";
    flag.minimum = kMinContextTokens;
  }
  return list;
}

}  // namespace

extern const Command measure_command;
const Command measure_command = {
    .name = "measure",
    .group = "Models",
    .summary = "what quantization changed",
    .description =
        "Lets one model or several and their reference read the same text in lockstep and reports "
        "perplexity, Kullback-Leibler divergence, the share of next-token choices that changed and "
        "more, each with its 95 % interval from a paired bootstrap over windows. The reference is "
        "run once, however many models there are. Without --against it gives the perplexity alone. "
        "Beside the text itself, memory does not grow with it.\n\n"
        "--until stops as soon as the interval is narrow enough; that interval holds at every "
        "moment at once, so stopping on it is fair.\n\n"
        "A model whose logits are not finite is named and left out; the others go on, and the exit "
        "status is 1.\n\n"
        "--kv-cache is of MODEL alone: the same file on both sides measures what the cache costs.",
    .positionals = {{.name = "MODEL",
                     .kind = ValueKind::model,
                     .help = "a GGUF file or a pulled name; with --compare a JSON file",
                     .repeatable = true}},
    .flags = flags(),
    .examples =
        {{.command = "checkbit measure a.gguf --against b.gguf --text book.txt"},
         {.command = "checkbit measure q4.gguf q3.gguf q2.gguf --against b.gguf --text book.txt "
                     "--report out.html"},
         {.command = "checkbit measure a.gguf --against b.gguf --text book.txt --until 2%"},
         {.command = "checkbit measure a.gguf --against a.gguf --kv-cache q8_0 --text book.txt"},
         {.command = "checkbit measure smollm2-135m --text book.txt --windows 8 --json"},
         {.command = "checkbit measure --compare before.json after.json --report out.html"}},
    .check = check,
    .run = run};

}  // namespace checkbit
