// checkbit quantize: a model file to a smaller one that says what it lost.

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>

#include "base/resident_memory.h"

#include "cli/command.h"
#include "cli/engine_flags.h"
#include "cli/read_input.h"
#include "file/pull.h"
#include "file/sha256.h"
#include "measure/compare.h"
#include "measure/session_source.h"
#include "quantize/budget.h"
#include "quantize/calibration_text.h"
#include "quantize/run_memory.h"
#include "quantize/write_model.h"
#include "report/render.h"
#include "report/text.h"

namespace checkbit {
namespace {

constexpr std::size_t kMeasureWindow = 256;
constexpr std::size_t kMeasureChunk = 64;
constexpr std::int64_t kProbeLogits = 48;

Status check(const Arguments& arguments) {
  if (arguments.has("--list")) return {};
  const int goals = arguments.has("--type") + arguments.has("--bpw") + arguments.has("--fit");
  if (goals != 1)
    return fail(ErrorKind::invalid, "quantize: give one of --type TYPE, --bpw BITS and --fit SIZE");
  if (!arguments.has("MODEL") || !arguments.has("--output")) {
    return fail(ErrorKind::invalid, "quantize: give MODEL and -o FILE");
  }
  if (arguments.has("--context") && !arguments.has("--fit")) {
    return fail(ErrorKind::invalid,
                "quantize: --context says for how many tokens --fit must have room");
  }
  return {};
}

Status print_recipes(Console& console) {
  for (const RecipeInfo& recipe : all_recipes()) {
    const Format* format = find_format(recipe.name);
    const std::string bits =
        format == nullptr ? "mix" : fmt::format("{:.2f}", format->bits_per_weight());
    console.out << fmt::format(
        "{}  {:>5}  {}\n",
        console.out_terminal.style(Style::bold, fmt::format("{:<7}", recipe.name)), bits,
        recipe.summary);
  }
  return {};
}

/// What the whole command works on.
struct Job {
  std::string source_path;
  std::string output;
  ModelFile source;
  std::uint64_t start_bytes = 0;  ///< resident before any weights: program, tokenizer, header
  std::vector<TokenId> text;      ///< calibration text
};

Result<Job> open_job(const Arguments& arguments, Console& console) {
  CB_TRY(const std::string path, resolve_model(arguments.text("MODEL")));
  CB_TRY(ModelFile source, ModelFile::open(path));
  CB_TRY_STATUS(check_output_path(source, arguments.text("--output")));
  std::string text = kCalibrationText;
  if (arguments.has("--calibration")) {
    CB_TRY(text, read_text_input(arguments.text("--calibration"), console));
  }
  Job job{path, arguments.text("--output"), std::move(source), 0, {}};
  CB_TRY(const Tokenizer tokenizer, Tokenizer::create(job.source.metadata()));
  job.start_bytes = resident_bytes();
  job.text = tokenizer.encode(text);
  return job;
}

struct Planned {
  Plan plan;
  std::optional<Calibration> calibration;
  std::optional<double> predicted;
  std::optional<std::uint64_t> promised_bytes;  ///< of --fit: what a run takes at most
};

Result<Planned> plan_for_budget(const Arguments& arguments, const Job& job, Console& console) {
  SessionOptions options;
  options.threads = console.threads;
  options.context_tokens = arguments.has("--fit") ? arguments.integer("--context") : 0;
  options.max_logits = kProbeLogits;
  CB_TRY(Session session, Session::open(job.source_path, options));
  CB_TRY(const Plan source, plan_copy(job.source));
  const RunMemory memory = run_memory(session, source, job.start_bytes);
  BudgetOptions budget;
  budget.standard_only = arguments.has("--portable");
  if (arguments.has("--fit")) {
    budget.kind = BudgetKind::packed_bytes;
    budget.bytes = arguments.bytes("--fit");
    budget.fixed_bytes = memory.fixed_bytes() + most_activation_bytes(source, memory.batch_tokens);
  } else {
    std::uint64_t elements = 0;
    for (const ModelTensor& t : job.source.tensors()) elements += t.info.elements();
    budget.bytes =
        static_cast<std::uint64_t>(arguments.number("--bpw") / 8.0 * static_cast<double>(elements));
  }
  CB_TRY_STATUS(check_budget(job.source, budget));
  Planned planned;
  const std::uint64_t own_bytes =
      arguments.has("--fit") ? source.resident_bytes() : source.file_bytes();
  if (own_bytes + budget.fixed_bytes <= budget.bytes) {
    CB_TRY(planned.plan, plan_copy(job.source));  // nothing to choose, nothing to measure
  } else {
    CB_TRY(planned.calibration, calibrate(session, job.text));
    CB_TRY(BudgetPlan plan, plan_budget(job.source, *planned.calibration, budget, session.pool()));
    planned.plan = std::move(plan.plan);
    planned.predicted = plan.predicted_divergence;
  }
  if (arguments.has("--fit")) {
    planned.promised_bytes = memory.fixed_bytes() +
                             activation_bytes(planned.plan, memory.batch_tokens) +
                             planned.plan.resident_bytes();
  }
  return planned;
}

Result<Planned> make_plan(const Arguments& arguments, const Job& job, Console& console) {
  if (!arguments.has("--type")) return plan_for_budget(arguments, job, console);
  Planned planned;
  CB_TRY(planned.plan, plan_recipe(job.source, arguments.text("--type"), arguments.has("--pure"),
                                   arguments.has("--force")));
  return planned;
}

/// Both models over the calibration text, their weights left in the files: little memory.
Result<ComparisonResult> measure_loss(const Job& job, const std::string& quantized, bool streams,
                                      Console& console) {
  SessionOptions options;
  options.threads = console.threads;
  options.context_tokens = kMeasureWindow;
  options.batch_tokens = kMeasureChunk;
  options.max_logits = kMeasureChunk;
  options.repack = !streams;
  CB_TRY(Session reference, Session::open(job.source_path, options));
  CB_TRY(Session model, Session::open(quantized, options));
  CompareOptions compare;
  compare.context_tokens = std::min(kMeasureWindow, job.text.size());
  compare.chunk_tokens = kMeasureChunk;
  SessionSource a(model);
  SessionSource b(reference);
  return compare_models(a, &b, job.text, compare);
}

/// Removes the unmeasured file on every way out.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::string path) : path_(std::move(path)) {}
  ~TemporaryFile() { std::remove(path_.c_str()); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string unmeasured_path(const std::string& output) {
  const std::filesystem::path path(output);
  return (path.parent_path() / fmt::format(".{}.unmeasured", path.filename().string())).string();
}

/// Writes the file, measures it, and writes it again with the loss in its receipt.
Result<std::optional<ComparisonResult>> write_measured(const Arguments& arguments, const Job& job,
                                                       const Planned& planned, Receipt receipt,
                                                       Console& console) {
  ThreadPool pool(console.threads);
  const Calibration* calibration = planned.calibration ? &*planned.calibration : nullptr;
  if (arguments.has("--no-measure")) {
    CB_TRY_STATUS(write_model(job.source, planned.plan, receipt, calibration, job.output, pool));
    return std::optional<ComparisonResult>();
  }
  const TemporaryFile draft(unmeasured_path(job.output));
  CB_TRY_STATUS(write_model(job.source, planned.plan, receipt, calibration, draft.path(), pool));
  CB_TRY(ComparisonResult loss, measure_loss(job, draft.path(), arguments.has("--type"), console));
  receipt.loss =
      fmt::format("KL divergence {:.6f} nats per token over {} tokens of the calibration text",
                  loss.divergence->mean.value, loss.scored_tokens);
  CB_TRY(const ModelFile written, ModelFile::open(draft.path()));
  CB_TRY(Plan copy, plan_copy(written));
  CB_TRY_STATUS(write_model(written, copy, receipt, nullptr, job.output, pool));
  return std::optional(std::move(loss));
}

std::vector<Record> records_of(const Job& job, const Planned& planned,
                               const std::optional<ComparisonResult>& loss, Console& console) {
  std::vector<Record> records;
  std::error_code ignored;
  const auto add = [&](const char* name, double value, const char* unit) {
    records.push_back(make_record(console, name, value, unit));
  };
  add("file_bytes", static_cast<double>(std::filesystem::file_size(job.output, ignored)), "bytes");
  add("file_bytes_source", static_cast<double>(job.source.size_bytes()), "bytes");
  add("bits_per_weight", planned.plan.bits_per_weight(), "bits");
  if (planned.promised_bytes)
    add("peak_bytes_promised", static_cast<double>(*planned.promised_bytes), "bytes");
  if (planned.predicted) add("kl_divergence_predicted", *planned.predicted, "nats");
  if (loss) {
    for (Record& record : to_records(*loss, console.command_line))
      records.push_back(std::move(record));
  }
  return records;
}

std::ptrdiff_t changed_tensors(const Plan& plan) {
  return std::ranges::count_if(
      plan.tensors, [](const TensorPlan& t) { return t.format != t.source->info.format; });
}

/// What would be written: the size, and with --json the type of every tensor.
Status print_plan(const Arguments& arguments, const Job& job, const Planned& planned,
                  Console& console) {
  std::vector<Record> records = {
      make_record(console, "bits_per_weight", planned.plan.bits_per_weight(), "bits"),
      make_record(console, "tensor_bytes", static_cast<double>(planned.plan.file_bytes()),
                  "bytes")};
  if (planned.promised_bytes)
    records.push_back(make_record(console, "peak_bytes_promised",
                                  static_cast<double>(*planned.promised_bytes), "bytes"));
  if (planned.predicted)
    records.push_back(make_record(console, "kl_divergence_predicted", *planned.predicted, "nats"));
  if (arguments.has("--json")) {
    nlohmann::ordered_json types = nlohmann::ordered_json::object();
    for (const TensorPlan& t : planned.plan.tensors)
      types[valid_utf8(t.source->info.name)] = t.format->name;
    const nlohmann::ordered_json extra = {
        {"recipe", planned.plan.recipe}, {"tensor_types", types}, {"notes", planned.plan.notes}};
    console.out << render_json(records, describe_environment(), extra);
    return {};
  }
  console.out << fmt::format("{} would take {} (the source takes {}), {:.2f} bits per weight: {}\n",
                             job.output, format_bytes(planned.plan.file_bytes()),
                             format_bytes(job.source.size_bytes()), planned.plan.bits_per_weight(),
                             planned.plan.summary());
  return {};
}

Status run(const Arguments& arguments, Console& console) {
  if (arguments.has("--list")) return print_recipes(console);
  CB_TRY(const Job job, open_job(arguments, console));
  CB_TRY(const Planned planned, make_plan(arguments, job, console));
  for (const std::string& note : planned.plan.notes) console.note(note);
  if (changed_tensors(planned.plan) == 0)
    console.note("it is that small already: every tensor keeps its type");
  if (arguments.has("--dry-run")) return print_plan(arguments, job, planned, console);
  Receipt receipt{.command = console.command_line};
  CB_TRY(receipt.source_sha256, sha256_of_file(job.source_path));
  CB_TRY(const std::optional<ComparisonResult> loss,
         write_measured(arguments, job, planned, receipt, console));
  const std::vector<Record> records = records_of(job, planned, loss, console);
  if (arguments.has("--json")) {
    const nlohmann::ordered_json extra = {{"output", valid_utf8(job.output)},
                                          {"recipe", planned.plan.recipe},
                                          {"allocation", planned.plan.summary()},
                                          {"notes", planned.plan.notes}};
    console.out << render_json(records, describe_environment(), extra);
    return {};
  }
  console.out << fmt::format("{}: {} (was {}), {}\n", job.output,
                             format_bytes(static_cast<std::uint64_t>(records[0].value)),
                             format_bytes(job.source.size_bytes()), planned.plan.summary())
              << render_table(records,
                              {.width = static_cast<std::size_t>(console.out_terminal.width),
                               .colour = console.out_terminal.colour});
  return {};
}

}  // namespace

extern const Command quantize_command;
const Command quantize_command = {
    .name = "quantize",
    .group = "Models",
    .summary = "a smaller model that says what it lost",
    .description =
        "Writes a model in fewer bits. --type follows a named type or mix; --bpw and --fit choose "
        "a type per tensor "
        "so that the measured damage is least: for each tensor, noise is put into its output and "
        "the "
        "change in the model's predictions is measured on a calibration text.\n\n"
        "--fit counts what a run needs: weights as they lie in memory, the cache of keys and "
        "values for --context "
        "tokens, buffers and the program. The file's receipt (source, command, types, loss) is "
        "shown by `checkbit inspect`.\n\n"
        "The output appears under its name only when it is whole.",
    .positionals = {{.name = "MODEL",
                     .kind = ValueKind::model,
                     .help = "a GGUF file or a pulled name",
                     .optional = true}},
    .flags = {{.name = "--output",
               .short_name = 'o',
               .kind = ValueKind::path,
               .value_name = "FILE",
               .help = "the file to write"},
              {.name = "--type",
               .kind = ValueKind::text,
               .value_name = "TYPE",
               .help = "a type or mix of --list, such as Q4_K_M"},
              {.name = "--bpw",
               .kind = ValueKind::number,
               .value_name = "BITS",
               .help = "bits per weight of the file, at most",
               .minimum = 0.1},
              {.name = "--fit",
               .kind = ValueKind::bytes,
               .value_name = "SIZE",
               .help = "memory that running it may take, such as 120MiB"},
              {.name = "--context",
               .short_name = 'c',
               .kind = ValueKind::integer,
               .value_name = "N",
               .help = "tokens of context that --fit has room for",
               .default_value = "512",
               .minimum = 16},
              {.name = "--calibration",
               .kind = ValueKind::path,
               .value_name = "FILE",
               .help = "text to measure on instead of the built-in one"},
              {.name = "--portable", .help = "only types that other GGUF programs know"},
              {.name = "--pure", .help = "with --type: that type for every matrix"},
              {.name = "--force", .help = "allow ternary types for ordinary models"},
              {.name = "--no-measure", .help = "do not measure the loss"},
              {.name = "--dry-run", .help = "say what would be written, write nothing"},
              {.name = "--list", .help = "list the types and mixes"},
              kJsonFlag},
    .examples = {{.command =
                      "checkbit quantize smollm2-135m -o small.gguf --fit 120MiB --context 512"},
                 {.command = "checkbit quantize smollm2-135m -o small.gguf --bpw 3.5"},
                 {.command = "checkbit quantize qwen2.5-coder-1.5b -o q3.gguf --type Q3_K_M"},
                 {.command = "checkbit quantize --list"}},
    .check = check,
    .run = run};

}  // namespace checkbit
