// checkbit measure: what quantized models lost against their reference.

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <ostream>

#include "base/atomic_file.h"
#include "base/output_path.h"
#include "cli/command.h"
#include "cli/engine_flags.h"
#include "cli/measure_inputs.h"
#include "cli/measure_output.h"
#include "cli/read_input.h"
#include "measure/report.h"
#include "measure/saved_run.h"
#include "report/html.h"
#include "report/render.h"

namespace checkbit {
namespace {

Status write_page(const Arguments& arguments, const ComparisonStory& story) {
  if (!arguments.has("--report")) return {};
  return write_file_atomically(arguments.text("--report"),
                               render_html(build_comparison_report(story)));
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
    print_measurement_json(story, records, inputs, console);
  } else {
    print_measurement(story, records, console);
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
    print_measurement(story, {}, console);
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
      {kAgainstFlag,
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
        .help = "the line that stands before each document [titles of wiki articles; the lines of "
                "a .jsonl file]"},
       {.name = "--compare", .help = "take two files that --json wrote in place of models"},
       kReportFlag,
       kJsonFlag});
  describe_compared_cache(list);
  describe_windows(list, "512");
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
