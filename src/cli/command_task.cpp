// checkbit task: how many items of a benchmark a model gets right, and which ones flipped.

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>

#include "base/atomic_file.h"
#include "base/output_path.h"
#include "cli/command.h"
#include "cli/engine_flags.h"
#include "cli/read_input.h"
#include "file/model_file.h"
#include "file/pull.h"
#include "measure/interpolate.h"
#include "measure/tasks/task_report.h"
#include "report/html.h"
#include "report/render.h"
#include "report/text.h"

namespace checkbit {
namespace {

/// "0,0.25,1"; nothing when one is not a number in 0..1.
std::optional<std::vector<double>> parse_shares(const std::string& text) {
  std::vector<double> shares;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (true) {
    double share = 0;
    const auto parsed = std::from_chars(at, end, share);
    if (parsed.ec != std::errc() || !(share >= 0 && share <= 1)) return std::nullopt;
    shares.push_back(share);
    if (parsed.ptr == end) return shares;
    if (*parsed.ptr != ',') return std::nullopt;
    at = parsed.ptr + 1;
  }
}

Result<TaskData> load_items(const Task& task, const Arguments& arguments, Console& console) {
  std::string path = arguments.text("--data");
  if (path.empty()) {
    CB_TRY(path, default_data_path(task));
  }
  CB_TRY(std::string text, read_text_input(path, console));
  const std::string name = path == "-" ? "standard input" : path;
  CB_TRY(TaskData data, task.load({name, std::move(text)}));
  const std::size_t examples = arguments.has("--examples")
                                   ? static_cast<std::size_t>(arguments.integer("--examples"))
                                   : task.examples;
  return with_examples(std::move(data), examples, name);
}

TaskOptions task_options(const Arguments& arguments) {
  TaskOptions options;
  options.limit = static_cast<std::size_t>(arguments.integer("--limit"));
  if (arguments.has("--tokens")) options.max_tokens = arguments.integer("--tokens");
  options.batch.sequences = static_cast<std::size_t>(arguments.integer("--parallel"));
  options.endings.one_by_one = arguments.has("--one-by-one");
  return options;
}

/// --kv-cache is of MODEL alone, as in measure.
Result<TaskResult> run_on(const std::string& model, bool is_reference, const TaskStory& story,
                          const Arguments& arguments, Console& console) {
  SessionOptions options = task_session_options(session_options(arguments, console));
  if (is_reference) options.cache_type = std::nullopt;
  TaskOptions how = task_options(arguments);
  std::optional<Session> session;
  CB_TRY(session, open_session(model, options, console));
  const std::int64_t needed = context_needed(session->tokenizer(), *story.task, *story.data, how);
  if (!arguments.has("--context") && needed > session->context_tokens() &&
      needed <= session->model().hyperparameters().context_length) {
    options.context_tokens = needed;
    session.reset();
    CB_TRY(session, open_session(model, options, console));
  }
  how.label = "asking " + clean_line(is_reference ? story.reference_name : story.model_name);
  return run_task(*session, *story.task, *story.data, how);
}

/// Scores the models between the two, each from a file that goes away again.
Status run_blends(TaskStory& story, const Arguments& arguments, Console& console) {
  const std::vector<double> shares = *parse_shares(arguments.text("--interpolate"));
  CB_TRY(const std::string older_path, resolve_model(arguments.text("--against")));
  CB_TRY(const std::string newer_path, resolve_model(arguments.text("MODEL")));
  CB_TRY(const ModelFile older, ModelFile::open(older_path));
  CB_TRY(const ModelFile newer, ModelFile::open(newer_path));
  const bool keep = arguments.has("--keep");
  const std::string path = keep ? arguments.text("--keep")
                                : (std::filesystem::temp_directory_path() /
                                   fmt::format("checkbit-between-{}.gguf", story.model_name))
                                      .string();
  for (const double share : shares) {
    ThreadPool pool(console.threads);
    CB_TRY(GgufWriter writer,
           write_interpolated(older, newer, share, *find_format("Q8_0"), path, pool));
    CB_TRY(TaskResult result, run_on(writer.temporary_path(), false, story, arguments, console));
    BlendResult blend{.share_of_reference = share, .result = std::move(result), .flips = {}};
    blend.flips = find_flips(*story.reference, blend.result);
    story.blends.push_back(std::move(blend));
    if (keep) CB_TRY_STATUS(writer.finish());
  }
  return {};
}

nlohmann::ordered_json blends_json(const TaskStory& story) {
  nlohmann::ordered_json blends = nlohmann::ordered_json::array();
  for (const BlendResult& blend : story.blends) {
    nlohmann::ordered_json one = {{"share_of_reference", blend.share_of_reference}};
    std::vector<Record> records = to_records(blend.result, story.command);
    for (Record& record : to_records(blend.flips, story.command))
      records.push_back(std::move(record));
    for (const Record& record : records) {
      one[record.name] = {{"value", record.value}};
      if (record.low) one[record.name]["low"] = *record.low;
      if (record.high) one[record.name]["high"] = *record.high;
    }
    blends.push_back(std::move(one));
  }
  return blends;
}

void print_json(const TaskStory& story, Console& console) {
  nlohmann::ordered_json extra = {{"task", story.task->name},
                                  {"model", valid_utf8(story.model_name)},
                                  {"chance", chance_level(*story.data, story.model.items.size())},
                                  {"preamble", story.data->preamble},
                                  {"results", items_json(story.model, *story.data)}};
  if (story.reference) {
    extra["reference"] = valid_utf8(story.reference_name);
    extra["results_reference"] = items_json(*story.reference, *story.data);
  }
  if (!story.blends.empty()) extra["interpolation"] = blends_json(story);
  console.out << render_json(task_records(story), story.environment, extra);
}

void print_table(const Table& table, Console& console) {
  std::vector<std::size_t> widths(table.columns.size(), 0);
  std::vector<std::vector<std::string>> rows = {table.columns};
  rows.insert(rows.end(), table.rows.begin(), table.rows.end());
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], display_width(row[i]));
  }
  console.out << "\n" << clean_line(table.caption) << "\n";
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i)
      line += row[i] + std::string(widths[i] - display_width(row[i]) + 2, ' ');
    line.erase(line.find_last_not_of(' ') + 1);
    console.out << clean_line(line) << "\n";
  }
}

void print_flips(const TaskStory& story, Console& console) {
  const Flips& flips = story.flips.front();
  const auto list = [&](std::string_view title, const std::vector<std::size_t>& items) {
    if (!items.empty()) console.out << "\n" << title << "\n";
    for (const std::size_t item : items) {
      const Quotes quotes = flipped_item(story, item);
      console.out << "  " << clean_line(quotes.prompt) << "\n";
      for (const Quote& quote : quotes.quotes) {
        const std::string note = quote.note.empty() ? "" : " (" + quote.note + ")";
        console.out << "    " << clean_line(quote.title + note) << ": " << clean_line(quote.text)
                    << "\n";
      }
    }
  };
  list("Right before, wrong after", flips.negative);
  list("Wrong before, right after", flips.positive);
}

Status run(const Arguments& arguments, Console& console) {
  for (const char* flag : {"--report", "--keep"}) {
    if (arguments.has(flag)) CB_TRY_STATUS(check_output_path(arguments.text(flag)));
  }
  TaskStory story;
  story.task = find_task(arguments.text("TASK"));
  CB_TRY(const TaskData data, load_items(*story.task, arguments, console));
  story.data = &data;
  story.command = console.command_line;
  story.environment = describe_environment();
  story.model_name = model_name(arguments.text("MODEL"));
  CB_TRY(story.model, run_on(arguments.text("MODEL"), false, story, arguments, console));
  if (arguments.has("--against")) {
    story.reference_name = model_name(arguments.text("--against"));
    if (story.reference_name == story.model_name) story.reference_name += ", the reference";
    CB_TRY(story.reference, run_on(arguments.text("--against"), true, story, arguments, console));
    story.flips = find_flips(*story.reference, story.model);
  }
  if (arguments.has("--interpolate")) CB_TRY_STATUS(run_blends(story, arguments, console));
  if (arguments.has("--report")) {
    CB_TRY_STATUS(
        write_file_atomically(arguments.text("--report"), render_html(build_task_report(story))));
  }
  if (arguments.has("--json")) {
    print_json(story, console);
    return {};
  }
  const auto width = console.out_terminal.width;
  console.out << wrap(clean_line(describe_task(story)), width, 0) << "\n"
              << render_table(task_records(story), {.width = static_cast<std::size_t>(width),
                                                    .colour = console.out_terminal.colour});
  if (!story.blends.empty()) print_table(blend_table(story), console);
  if (arguments.has("--flips")) print_flips(story, console);
  return {};
}

Status check(const Arguments& arguments) {
  for (const char* flag : {"--flips", "--interpolate"}) {
    if (arguments.has(flag) && !arguments.has("--against"))
      return fail(ErrorKind::invalid, "{} needs --against REFERENCE", flag);
  }
  if (!arguments.has("--interpolate")) {
    if (arguments.has("--keep"))
      return fail(ErrorKind::invalid, "--keep needs --interpolate SHARE");
    return {};
  }
  const auto shares = parse_shares(arguments.text("--interpolate"));
  if (!shares)
    return fail(ErrorKind::invalid, "--interpolate: '{}' is not numbers from 0 to 1, as 0,0.5,1",
                arguments.text("--interpolate"));
  if (arguments.has("--keep") && shares->size() != 1)
    return fail(ErrorKind::invalid, "--keep needs one share in --interpolate, not {}",
                shares->size());
  return {};
}

std::vector<std::string_view> task_names() {
  std::vector<std::string_view> names;
  for (const Task* task : all_tasks()) names.push_back(task->name);
  return names;
}

/// What each task is, one a line.
std::string task_list() {
  std::string list;
  for (const Task* task : all_tasks())
    list += fmt::format("\n\n{}: {}, {}.", task->name, task->title, task->what);
  return list;
}

std::vector<Flag> flags() {
  std::vector<Flag> list = with_engine_flags(
      {{.name = "--data",
        .kind = ValueKind::path,
        .value_name = "FILE",
        .help = "the items; - is standard input [the task's file in the data folder]"},
       {.name = "--limit",
        .kind = ValueKind::integer,
        .value_name = "N",
        .help = "only the first N items; 0 for all",
        .default_value = "0"},
       {.name = "--examples",
        .kind = ValueKind::integer,
        .value_name = "N",
        .help = "answered items before each prompt, taken from the first [the task's own]"},
       {.name = "--against",
        .kind = ValueKind::model,
        .value_name = "REFERENCE",
        .help = "the model before it was changed: which answers flipped"},
       {.name = "--flips", .help = "list every item that flipped, side by side"},
       {.name = "--interpolate",
        .kind = ValueKind::text,
        .value_name = "SHARES",
        .help = "also score models between the two; 0,0.5,1 are shares of REFERENCE's weights"},
       {.name = "--keep",
        .kind = ValueKind::path,
        .value_name = "FILE",
        .help = "keep the model of the one share of --interpolate"},
       {.name = "--tokens",
        .short_name = 'n',
        .kind = ValueKind::integer,
        .value_name = "N",
        .help = "most tokens of an answer [the task's own]",
        .minimum = 1},
       {.name = "--parallel",
        .kind = ValueKind::integer,
        .value_name = "N",
        .help = "answers written at once",
        .default_value = "8",
        .minimum = 1},
       {.name = "--one-by-one",
        .help = "every ending from its start, by itself: slower, the same figures"},
       {.name = "--report",
        .kind = ValueKind::path,
        .value_name = "FILE",
        .help = "also write a page with charts and every flip"},
       kJsonFlag});
  describe_compared_cache(list);
  return list;
}

/// Records live as long as the program, and so must the text they view.
const std::string& description() {
  static const std::string text =
      "Asks a model the items of a public benchmark, with the prompts and the scoring of "
      "lm-evaluation-harness, and reports the share it gets right with its 95 % interval (Wilson). "
      "With --against it asks the reference the same and reports flips: answers that were right "
      "and are wrong now, and the reverse, with McNemar's exact test; a change that chance "
      "explains "
      "is called so.\n\n"
      "Items come from --data FILE, in the forms in which the benchmark is published, or from the "
      "data folder of the cache, where a file has to be put once; nothing is fetched." +
      task_list();
  return text;
}

}  // namespace

extern const Command task_command;
const Command task_command = {
    .name = "task",
    .group = "Models",
    .summary = "what a model answers right, and which answers flipped",
    .description = description(),
    .positionals = {{.name = "TASK",
                     .kind = ValueKind::choice,
                     .help = "the benchmark",
                     .choices = task_names()},
                    {.name = "MODEL",
                     .kind = ValueKind::model,
                     .help = "a GGUF file or a pulled name"}},
    .flags = flags(),
    .examples = {{.command = "checkbit task arc smollm2-135m --data ARC-Challenge-Test.jsonl"},
                 {.command = "checkbit task hellaswag a.gguf --against b.gguf --flips"},
                 {.command = "checkbit task arc a.gguf --against b.gguf --report flips.html"},
                 {.command = "checkbit task arc new.gguf --against old.gguf --interpolate "
                             "0,0.25,0.5,0.75,1"}},
    .check = check,
    .run = run};

}  // namespace checkbit
