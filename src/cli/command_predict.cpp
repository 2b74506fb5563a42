// checkbit predict: which inputs a low-bit model fails on, foretold from its reference.

#include <nlohmann/json.hpp>
#include <ostream>

#include "base/atomic_file.h"
#include "base/output_path.h"
#include "cli/command.h"
#include "cli/comparison_facts.h"
#include "cli/engine_flags.h"
#include "cli/measure_inputs.h"
#include "measure/predict/predict_report.h"
#include "measure/session_source.h"
#include "report/html.h"
#include "report/render.h"
#include "report/text.h"

namespace checkbit {
namespace {

constexpr std::size_t kShownWindows = 8;
constexpr std::size_t kPrintedSubgroups = 8;

Result<TokenTable> collect(const Arguments& arguments, MeasureInputs& inputs) {
  Session& reference = *inputs.reference;
  const TokenClasses classes(reference.tokenizer());
  CompareOptions options = compare_options(arguments, inputs, classes);
  options.max_windows = static_cast<std::size_t>(arguments.integer("--windows"));
  SessionSource model_source(inputs.models.front());
  SessionSource reference_source(reference);
  ResidualMeter meter(static_cast<std::size_t>(reference.model().hyperparameters().layers));
  const Observing observing(reference.executor(), &meter);
  return collect_tokens(model_source, reference_source, meter, inputs.tokens, options);
}

/// The held-out windows likeliest to break, with the text that is scored.
std::vector<ShownWindow> windows_to_show(const MeasureInputs& inputs,
                                         const PredictionResult& result, std::size_t context) {
  std::vector<ShownWindow> shown;
  for (const WindowResult& window : result.ranked) {
    if (!window.held || shown.size() == kShownWindows) continue;
    const auto scored = std::span<const TokenId>(inputs.tokens)
                            .subspan(window.window * context + context / 2, context - context / 2);
    shown.push_back({window, inputs.reference->tokenizer().decode(scored)});
  }
  return shown;
}

void print_table(const Table& table, Console& console) {
  console.out << "\n" << table.caption << "\n" << text_table(table).render(console.out_terminal, 2);
}

void print_story(const PredictionStory& story, Console& console) {
  console.out << wrap(clean_line(describe_prediction(story)), console.out_terminal.width, 0);
  for (const TargetResult& target : story.result.targets)
    if (!target.predictors.empty()) print_table(predictor_table(target), console);
  if (!story.result.subgroups.proven.empty())
    print_table(subgroup_table(story.result.subgroups, kPrintedSubgroups), console);
  print_table(window_table(story), console);
}

Status run(const Arguments& arguments, Console& console) {
  const std::string page = arguments.text("--report");
  if (!page.empty()) CB_TRY_STATUS(check_output_path(page));
  CB_TRY(MeasureInputs inputs, open_measure_inputs(arguments, console));
  CB_TRY(const TokenTable table, collect(arguments, inputs));
  const auto seed = static_cast<std::uint64_t>(arguments.integer("--seed"));
  CB_TRY(PredictionResult result, evaluate_predictors(table, seed));
  std::vector<Record> records = to_records(result, console.command_line);
  PredictionStory story{.result = std::move(result),
                        .model = model_name(inputs.models.front().file().path()),
                        .reference = model_name(inputs.reference->file().path()),
                        .text_name = inputs.text_name,
                        .shown = {},
                        .command = console.command_line,
                        .environment = describe_environment()};
  story.shown = windows_to_show(inputs, story.result, table.context_tokens);
  if (!page.empty())
    CB_TRY_STATUS(write_file_atomically(page, render_html(build_prediction_report(story))));
  if (arguments.has("--json")) {
    const nlohmann::ordered_json extra = {{"model", valid_utf8(story.model)},
                                          {"reference", valid_utf8(story.reference)},
                                          {"text", valid_utf8(story.text_name)},
                                          {"seed", seed}};
    console.out << render_json(records, story.environment, extra);
    return {};
  }
  print_story(story, console);
  return {};
}

Status check(const Arguments& arguments) {
  if (!arguments.has("--against"))
    return fail(ErrorKind::invalid, "predict: --against REFERENCE is missing");
  if (!arguments.has("--text")) return fail(ErrorKind::invalid, "predict: --text FILE is missing");
  return {};
}

std::vector<Flag> flags() {
  std::vector<Flag> list =
      with_engine_flags({kAgainstFlag,
                         {.name = "--text",
                          .kind = ValueKind::path,
                          .value_name = "FILE",
                          .help = "what both read; - is standard input"},
                         {.name = "--windows",
                          .kind = ValueKind::integer,
                          .value_name = "N",
                          .help = "only the first N windows of the text; 0 for all",
                          .default_value = "0"},
                         {.name = "--document-break",
                          .kind = ValueKind::text,
                          .value_name = "LINE",
                          .help = "the line that stands before each document [wiki titles]"},
                         {.name = "--seed",
                          .kind = ValueKind::integer,
                          .value_name = "N",
                          .help = "which windows are held out",
                          .default_value = "1"},
                         kReportFlag,
                         kJsonFlag});
  describe_windows(list, "256");
  return list;
}

}  // namespace

extern const Command predict_command;
const Command predict_command = {
    .name = "predict",
    .group = "Models",
    .summary = "which inputs a low-bit model fails on",
    .description =
        "Lets a low-bit model and its reference read the same text and finds out how well it could "
        "have been foretold, from the reference alone, where the low-bit model fails: which "
        "choices of the next token change, which are wrong, and which windows lose most. Each "
        "predictor is fitted on some windows and judged on others, beside the plain baseline of "
        "the reference's entropy, with 95 % intervals.\n\n"
        "It also names subgroups of tokens that fail more often than the rest (found on one part, "
        "proven on the other, corrected for the number tried), and the windows most at risk. "
        "`veracity` reads the low-bit model's loss: it detects failures and does not foretell "
        "them.",
    .positionals = {{.name = "MODEL",
                     .kind = ValueKind::model,
                     .help = "a GGUF file or a pulled name"}},
    .flags = flags(),
    .examples = {{.command = "checkbit predict small.gguf --against smollm2-135m --text book.txt"},
                 {.command = "checkbit predict small.gguf --against smollm2-135m --text book.txt "
                             "--windows 200 --report risk.html"}},
    .check = check,
    .run = run};

}  // namespace checkbit
