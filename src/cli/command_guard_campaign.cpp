// checkbit guard campaign: what faults do to a model, again and again until it is known.

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <ostream>
#include <utility>

#include "base/atomic_file.h"
#include "base/output_path.h"
#include "cli/command.h"
#include "cli/engine_flags.h"
#include "cli/flag_values.h"
#include "cli/read_input.h"
#include "cli/trial_progress.h"
#include "file/pull.h"
#include "guard/campaign_report.h"
#include "guard/live_guard.h"
#include "measure/tasks/run_task.h"
#include "quantize/write_model.h"
#include "report/render.h"
#include "report/text.h"
#include "run/generate.h"

namespace checkbit {
namespace {

constexpr std::size_t kMostRates = 64;

/// What makes the accuracy of a damaged model.
struct TaskScorer {
  const Task* task = nullptr;
  TaskData data;
  std::size_t items = 0;

  std::string name() const {
    return task == nullptr ? "" : fmt::format("{}, {} items", task->name, items);
  }
  Result<double> operator()(Session& session) const {
    TaskOptions options;
    options.limit = items;
    auto result = run_task(session, *task, data, options);
    session.cache().truncate(0);
    if (!result) return result.error();
    return static_cast<double>(result->right(0)) / static_cast<double>(result->items.size());
  }
};

Result<TaskScorer> open_scorer(const Arguments& arguments, Console& console) {
  TaskScorer scorer;
  if (!arguments.has("--task")) return scorer;
  scorer.task = find_task(arguments.text("--task"));
  std::string path = arguments.text("--data");
  if (path.empty()) {
    CB_TRY(path, default_data_path(*scorer.task));
  }
  CB_TRY(std::string text, read_text_input(path, console));
  CB_TRY(scorer.data, scorer.task->load({path, std::move(text)}));
  scorer.items =
      std::min(static_cast<std::size_t>(arguments.integer("--items")), scorer.data.items.size());
  return scorer;
}

Result<std::vector<TokenId>> text_to_read(const Arguments& arguments, Session& session,
                                          Console& console) {
  const auto tokens = static_cast<std::size_t>(arguments.integer("--tokens"));
  std::vector<TokenId> text;
  if (arguments.has("--text")) {
    CB_TRY(const std::string content, read_text_input(arguments.text("--text"), console));
    CB_TRY_STATUS(check_text(content, arguments.text("--text")));
    text = session.tokenizer().encode(content);
  } else {
    // What the model itself would write, so that every tokenizer and language has a fitting text.
    text = session.tokenizer().encode("The");
    GenerateOptions options;
    options.max_tokens = static_cast<std::int64_t>(tokens);
    options.ignore_end = true;
    options.sampler.seed = static_cast<std::uint64_t>(arguments.integer("--seed"));
    CB_TRY(const Generation written, generate(session, text, options));
    text.insert(text.end(), written.tokens.begin(), written.tokens.end());
  }
  if (text.size() > tokens) text.resize(tokens);
  return text;
}

/// The type of most of its weights.
std::string main_format(const ModelFile& file) {
  std::map<std::string_view, std::uint64_t> weights;
  for (const ModelTensor& tensor : file.tensors())
    weights[tensor.info.format->name] += tensor.info.elements();
  const auto most = std::ranges::max_element(weights, {}, [](const auto& w) { return w.second; });
  return most == weights.end() ? "" : std::string(most->first);
}

/// Every field over every rate, or the faults given one by one.
Result<std::vector<FaultSpec>> specs_of(const Arguments& arguments,
                                        const std::vector<FaultSpec>& fields) {
  std::vector<FaultSpec> specs;
  for (const std::string& text : arguments.texts("--fault")) {
    CB_TRY(FaultSpec spec, parse_fault_spec(text));
    specs.push_back(std::move(spec));
  }
  if (!specs.empty()) return specs;
  const std::vector<double> rates =
      rate_grid(arguments.number("--lowest"), arguments.number("--highest"),
                static_cast<int>(arguments.integer("--per-decade")));
  if (rates.size() > kMostRates)
    return fail(ErrorKind::invalid, "{} bit error rates are too many, at most {}", rates.size(),
                kMostRates);
  for (const FaultSpec& field : fields) {
    for (const double rate : rates) {
      specs.push_back(field);
      specs.back().rate = rate;
    }
  }
  return specs;
}

Result<std::vector<FaultSpec>> fields_of(const Arguments& arguments) {
  std::vector<std::string> names = split_at_commas(arguments.texts("--fields"));
  if (names.empty()) names = {"all"};
  std::vector<FaultSpec> fields;
  for (const std::string& name : names) {
    FaultSpec spec;
    spec.seed = static_cast<std::uint64_t>(arguments.integer("--seed"));
    CB_TRY(spec.field, parse_field_selector(name));
    if (arguments.has("--tensor")) spec.tensor = arguments.text("--tensor");
    fields.push_back(std::move(spec));
  }
  return fields;
}

CampaignOptions campaign_options(const Arguments& arguments) {
  CampaignOptions options;
  options.most_trials = static_cast<std::size_t>(arguments.integer("--trials"));
  options.least_trials = std::min(options.least_trials, options.most_trials);
  options.precision = arguments.number("--precision");
  if (arguments.has("--budget"))
    options.budget_seconds = *parse_duration(arguments.text("--budget"));
  return options;
}

/// One model a worker, each with a thread of its own.
SessionOptions worker_options(const Arguments& arguments, const Console& console) {
  SessionOptions options = session_options(arguments, console);
  options.threads = 1;
  options.pinning = Pinning::off;
  options.scrub_share = 0;  // trials scrub at a fixed moment, so that they come out the same again
  const std::int64_t tokens = arguments.integer("--tokens");
  if (!arguments.has("--task")) {
    options.context_tokens = tokens;
    options.max_logits = tokens;
    return options;
  }
  options = task_session_options(options);
  options.max_logits = std::max(options.max_logits, tokens);
  options.batch_tokens = std::max(options.batch_tokens, tokens);
  return options;
}

void print_story(const CampaignStory& story, Console& console) {
  const auto width = static_cast<std::size_t>(console.out_terminal.width);
  console.out << wrap(clean_line(describe_campaign(story)), console.out_terminal.width, 0) << "\n";
  for (const Table& table : {campaign_table(story), survival_table(story)}) {
    if (table.rows.empty()) continue;
    console.out << "  " << table.caption << "\n"
                << text_table(table).render(console.out_terminal, 2) << "\n";
  }
  console.out << render_table(campaign_records(story),
                              {.width = width, .colour = console.out_terminal.colour});
}

Status search_survival(const Arguments& arguments, const std::vector<FaultSpec>& fields,
                       Campaign& campaign, CampaignStory& story) {
  for (const FaultSpec& field : fields) {
    CB_TRY(SurvivedRate rate,
           campaign.survived(field, arguments.number("--lowest"), arguments.number("--highest")));
    story.survived.push_back(std::move(rate));
  }
  return {};
}

Result<CampaignSetting> setting_of(const Session& session, const std::vector<TokenId>& text,
                                   const TaskScorer& scorer) {
  CampaignSetting setting;
  setting.model = model_name(session.file().path());
  CB_TRY(setting.model_hash, source_sha256(session.file()));
  setting.format = main_format(session.file());
  setting.guard = to_string(session.options().guard);
  setting.text_hash =
      fmt::format("{:016x}", XXH3_64bits(text.data(), text.size() * sizeof(TokenId)));
  setting.scorer = scorer.name();
  return setting;
}

/// The first takes the session that is open already, the others share what it read.
Result<std::unique_ptr<DamagedSession>> make_worker(
    const DamagedSession* first, std::optional<Session>& open, const std::string& path,
    const SessionOptions& options, const std::vector<TokenId>& text, const TaskScorer& scorer) {
  std::optional<Session> session = std::exchange(open, std::nullopt);
  if (!session) {
    CB_TRY(session, Session::open(path, options));
    if (options.guard != GuardLevel::off)
      CB_TRY_STATUS(attach_guard(*session, {.scrub = {.share = 0}, .program = false}));
  }
  const SessionScorer score = scorer.task == nullptr ? SessionScorer() : std::cref(scorer);
  return DamagedSession::create(std::move(*session), text, score,
                                first == nullptr ? nullptr : first->clean());
}

Status run(const Arguments& arguments, Console& console) {
  const std::string page = arguments.text("--report");
  if (!page.empty()) {
    CB_TRY_STATUS(check_output_path(page));
  }
  CB_TRY(const std::vector<FaultSpec> fields, fields_of(arguments));
  CB_TRY(const std::vector<FaultSpec> specs, specs_of(arguments, fields));
  CB_TRY(TaskScorer scorer, open_scorer(arguments, console));
  CB_TRY(CampaignStore store, CampaignStore::open(arguments.text("--store")));
  const SessionOptions options = worker_options(arguments, console);
  CB_TRY(Session first, open_session(arguments.text("MODEL"), options, console));
  CB_TRY(std::vector<TokenId> text, text_to_read(arguments, first, console));
  CampaignStory story;
  story.command = console.command_line;
  story.text_tokens = text.size();
  CB_TRY(story.setting, setting_of(first, text, scorer));
  const std::string path = first.file().path();
  const TrialProgress progress;
  Campaign campaign(store, story.setting, campaign_options(arguments));
  std::optional<Session> unused = std::move(first);
  const WorkerFactory factory = [&](const DamagedSession* before) {
    return make_worker(before, unused, path, options, text, scorer);
  };
  const std::size_t workers = arguments.has("--workers")
                                  ? static_cast<std::size_t>(arguments.integer("--workers"))
                                  : static_cast<std::size_t>(console.threads);
  CB_TRY_STATUS(campaign.open_workers(workers, factory));
  story.clean_score = campaign.worker(0).clean()->score;
  if (arguments.has("--survive")) {
    CB_TRY_STATUS(search_survival(arguments, fields, campaign, story));
  } else {
    CB_TRY(story.cells, campaign.run(specs));
  }
  if (!page.empty()) {
    CB_TRY_STATUS(write_file_atomically(page, render_html(campaign_report(story))));
  }
  if (arguments.has("--json")) {
    console.out << render_json(campaign_records(story), describe_environment(),
                               campaign_json(story));
  } else {
    print_story(story, console);
  }
  return {};
}

Status check(const Arguments& arguments) {
  if (arguments.number("--lowest") >= arguments.number("--highest"))
    return fail(ErrorKind::invalid, "guard campaign: --lowest is not below --highest");
  if (arguments.has("--fault") && arguments.has("--fields"))
    return fail(ErrorKind::invalid, "guard campaign: give --fault or --fields, not both");
  if (arguments.has("--fault") && arguments.has("--survive"))
    return fail(ErrorKind::invalid, "guard campaign: --survive searches rates, give --fields");
  if (arguments.has("--budget"))
    return check_duration("guard campaign", arguments.text("--budget"));
  return {};
}

/// What is hit.
std::vector<Flag> fault_flags() {
  return {
      {.name = "--fields",
       .kind = ValueKind::text,
       .value_name = "LIST",
       .help = "what is hit, with commas between: all, quant, value, scale, min, super_scale, "
               "sign, exponent, super_scale.exponent ... [all]",
       .repeatable = true},
      {.name = "--tensor",
       .kind = ValueKind::text,
       .value_name = "GLOB",
       .help = "only in tensors of this name, with * and ?"},
      {.name = "--lowest",
       .kind = ValueKind::number,
       .value_name = "P",
       .help = "the first bit error rate",
       .default_value = "1e-8",
       .minimum = 1e-15,
       .maximum = 0.1},
      {.name = "--highest",
       .kind = ValueKind::number,
       .value_name = "P",
       .help = "the last one",
       .default_value = "1e-3",
       .minimum = 1e-15,
       .maximum = 0.5},
      {.name = "--per-decade",
       .kind = ValueKind::integer,
       .value_name = "N",
       .help = "rates to a factor of ten",
       .default_value = "2",
       .minimum = 1,
       .maximum = 10},
      {.name = "--fault",
       .kind = ValueKind::text,
       .value_name = "SPEC",
       .help = "in place of rates and fields a fault in one line: \"seed=7 count=2 in=kv token=9\"",
       .repeatable = true},
      {.name = "--survive",
       .help = "search the bit error rate at which the model breaks instead of drawing curves"}};
}

/// What is measured, and for how long.
std::vector<Flag> trial_flags() {
  return {
      {.name = "--trials",
       .kind = ValueKind::integer,
       .value_name = "N",
       .help = "of each rate at most",
       .default_value = "100",
       .minimum = 1},
      {.name = "--precision",
       .kind = ValueKind::number,
       .value_name = "SHARE",
       .help = "stop a rate when its divergence is known to this share of it",
       .default_value = "0.25",
       .minimum = 0.001,
       .maximum = 10},
      {.name = "--tokens",
       .kind = ValueKind::integer,
       .value_name = "N",
       .help = "of text that each trial reads",
       .default_value = "64",
       .minimum = 2,
       .maximum = 4096},
      {.name = "--text",
       .kind = ValueKind::path,
       .value_name = "FILE",
       .help = "the text [what the model writes from the seed]"},
      {.name = "--task",
       .kind = ValueKind::choice,
       .value_name = "NAME",
       .help = "also the accuracy of each damaged model in this task, without examples",
       .choices = {"arc"}},
      {.name = "--data", .kind = ValueKind::path, .value_name = "FILE", .help = "the task's items"},
      {.name = "--items",
       .kind = ValueKind::integer,
       .value_name = "N",
       .help = "of the task, for each trial",
       .default_value = "50",
       .minimum = 1},
      {.name = "--seed",
       .kind = ValueKind::integer,
       .value_name = "N",
       .help = "what text and faults are drawn from",
       .default_value = "1"},
      {.name = "--workers",
       .kind = ValueKind::integer,
       .value_name = "N",
       .help = "models that are damaged at the same time, one thread each [--threads]",
       .minimum = 1,
       .maximum = 256},
      {.name = "--budget",
       .kind = ValueKind::text,
       .value_name = "TIME",
       .help = "begin no trial after 30m, 1h30m, ..."},
      {.name = "--store",
       .kind = ValueKind::path,
       .value_name = "FILE",
       .help = "where trials are kept",
       .default_value = "campaign.sqlite"},
      {.name = "--report",
       .kind = ValueKind::path,
       .value_name = "FILE",
       .help = "also write a page with charts"},
      kJsonFlag};
}

std::vector<Flag> flags() {
  std::vector<Flag> list = fault_flags();
  std::ranges::move(trial_flags(), std::back_inserter(list));
  return with_engine_flags(std::move(list));
}

}  // namespace

extern const Command guard_campaign_command;
const Command guard_campaign_command = {
    .name = "guard campaign",
    .group = "",
    .summary = "what faults do to a model: outcomes and curves",
    .description =
        "Flips bits of a running model's packed weights, reads a text with them, takes them away "
        "again, and counts how it ended: benign (the same logits to the bit), silent (others, and "
        "nobody noticed), corrected or detected (noticed, with --guard). For each field of the "
        "number format and each bit error rate it says how far the predictions stray.\n\n"
        "Trials are kept in the store as they come: the same command goes on where it stopped. A "
        "rate is tried until its divergence is known to --precision, or --trials times. The same "
        "seed draws the same bits on every machine, whatever the number of workers.\n\n"
        "A fault in one line has keys in any order: seed, in (memory, activations, accumulators, "
        "kv), field, tensor, layer, count or rate, burst, stuck, page and token.",
    .positionals = {{.name = "MODEL",
                     .kind = ValueKind::model,
                     .help = "a GGUF file or a pulled name"}},
    .flags = flags(),
    .examples = {{.command = "checkbit guard campaign smollm2-135m --fields all,quant,scale "
                             "--budget 10m --report faults.html"},
                 {.command = "checkbit guard campaign smollm2-135m --survive"},
                 {.command = "checkbit guard campaign smollm2-135m --fault \"seed=7 count=2\" "
                             "--fault \"in=kv token=9 burst=8\" --trials 1000 --json"}},
    .check = check,
    .run = run};

}  // namespace checkbit
