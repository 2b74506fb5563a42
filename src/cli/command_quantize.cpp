// checkbit quantize: a model file to a smaller one that says what it lost.

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>

#include "cli/engine_flags.h"
#include "cli/quantize_job.h"
#include "cli/quantize_receipt.h"
#include "cli/quantize_rounding.h"
#include "file/metadata_keys.h"
#include "measure/compare.h"
#include "quantize/write_model.h"
#include "report/render.h"
#include "report/text.h"

namespace checkbit {
namespace {

Status check(const Arguments& arguments) {
  if (arguments.has("--list")) return {};
  if (arguments.has("--verify-receipt")) {
    if (!arguments.has("MODEL") && !arguments.has("--output")) return {};
    return fail(ErrorKind::invalid,
                "quantize: --verify-receipt takes model and output from the receipt; give neither");
  }
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
  if (arguments.has("--kv-cache") && !arguments.has("--fit")) {
    return fail(ErrorKind::invalid,
                "quantize: --kv-cache says which type of cache --fit must have room for");
  }
  if (arguments.has("--write-imatrix") &&
      (arguments.has("--imatrix") || arguments.has("--dry-run"))) {
    return fail(ErrorKind::invalid,
                "quantize: --write-imatrix keeps what is measured while writing; it goes with "
                "neither --imatrix nor --dry-run");
  }
  for (const char* flag : {"--allocation", "--correct"}) {
    if (arguments.has(flag) && arguments.has("--type"))
      return fail(ErrorKind::invalid,
                  "quantize: {} is about choosing types for --bpw or --fit; --type names them",
                  flag);
  }
  return check_rounding_flags(arguments);
}

Flag allocation_flag() {
  Flag flag = {.name = "--allocation",
               .kind = ValueKind::choice,
               .value_name = "METHOD",
               .help =
                   "how --bpw and --fit choose types: table (dynamic programming), integer "
                   "(branch and bound, where built with GLPK), convex (one price per byte), closed (equal losses), "
                   "exchange (bytes moved between pairs) [table]"};
  for (const AllocationMethod* method : all_allocations()) flag.choices.push_back(method->name);
  return flag;
}

Status print_recipes(Console& console) {
  console.out << console.out_terminal.style(Style::dim, "type     bits  what it is") << "\n";
  for (const RecipeInfo& recipe : all_recipes()) {
    const std::string bits =
        recipe.format == nullptr ? "mix" : fmt::format("{:.2f}", recipe.format->bits_per_weight());
    constexpr int kIndent = 16;
    const std::string summary = wrap(recipe.summary, console.out_terminal.width, kIndent);
    console.out << fmt::format(
        "{}  {:>5}  {}", console.out_terminal.style(Style::bold, fmt::format("{:<7}", recipe.name)),
        bits, std::string_view(summary).substr(kIndent));
  }
  return {};
}

/// Writes the file, measures it, and puts the loss into its receipt before it gets its name.
Result<std::optional<ComparisonResult>> write_measured(const Arguments& arguments, QuantizeJob& job,
                                                       const QuantizePlan& planned,
                                                       const RoundingChoice& choice,
                                                       Receipt receipt, Console& console) {
  const bool weighs = choice.method->uses_importance || choice.method->uses_moments;
  const Calibration* calibration = planned.calibration && weighs ? &*planned.calibration : nullptr;
  const bool measures = !arguments.has("--no-measure");
  const std::span<const TokenId> text =
      choice.tokens > 0 ? job.held_out_text() : std::span<const TokenId>(job.text);
  const CompareOptions compare = loss_options(job, text);
  if (measures) receipt.loss = loss_text(0, scored_tokens(text.size(), compare));
  // Until the end: a process killed while it writes or measures has rounded everything.
  CB_TRY(std::optional<TensorJournal> journal,
         open_journal(choice, job, planned.plan, receipt.source_sha256, console));
  CB_TRY(const std::optional<RoundedModel> rounded,
         round_tensors(choice, job, planned.plan, receipt.source_sha256,
                       journal ? &*journal : nullptr, console));
  CB_TRY(GgufWriter writer,
         write_unnamed(job.source(), planned.plan, receipt, calibration, job.output,
                       job.session.pool(), nullptr, rounded ? &rounded->tensors : nullptr));
  std::optional<ComparisonResult> loss;
  if (measures) {
    CB_TRY(loss, measure_written(job, writer.temporary_path(), text, compare));
    CB_TRY_STATUS(writer.replace_text(
        kKeyReceiptLoss,
        loss_text(loss->candidates.front().divergence->mean.value, loss->scored_tokens)));
  }
  CB_TRY_STATUS(writer.finish());
  return loss;
}

std::vector<Record> records_of(const QuantizeJob& job, const QuantizePlan& planned,
                               const std::optional<ComparisonResult>& loss, Console& console) {
  std::vector<Record> records;
  std::error_code ignored;
  const auto add = [&](const char* name, double value, const char* unit) {
    records.push_back(make_record(console, name, value, unit));
  };
  add("file_bytes", static_cast<double>(std::filesystem::file_size(job.output, ignored)), "bytes");
  add("file_bytes_source", static_cast<double>(job.source().size_bytes()), "bytes");
  add("bits_per_weight", planned.plan.bits_per_weight(), "bits");
  if (planned.promised_bytes)
    add("peak_bytes_promised", static_cast<double>(*planned.promised_bytes), "bytes");
  if (planned.predicted) add("kl_divergence_predicted", *planned.predicted, "nats");
  if (planned.summed_damage) add("damage_sum_predicted", *planned.summed_damage, "nats");
  if (planned.least_damage) add("damage_sum_bound", *planned.least_damage, "nats");
  if (loss) {
    for (const auto& list : {to_records(loss->candidates.front(), console.command_line),
                             run_records(*loss, 2, console.command_line)}) {
      records.insert(records.end(), list.begin(), list.end());
    }
  }
  return records;
}

std::ptrdiff_t changed_tensors(const Plan& plan) {
  return std::ranges::count_if(
      plan.tensors, [](const TensorPlan& t) { return t.format != t.source->info.format; });
}

void print_paragraph(const std::string& text, Console& console) {
  console.out << wrap(clean_line(text), console.out_terminal.width, 0);
}

/// What would be written: the size, and with --json the type of every tensor.
Status print_plan(const Arguments& arguments, const QuantizeJob& job, const QuantizePlan& planned,
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
  if (planned.summed_damage)
    records.push_back(make_record(console, "damage_sum_predicted", *planned.summed_damage, "nats"));
  if (planned.least_damage)
    records.push_back(make_record(console, "damage_sum_bound", *planned.least_damage, "nats"));
  if (arguments.has("--json")) {
    nlohmann::ordered_json types = nlohmann::ordered_json::object();
    for (const TensorPlan& t : planned.plan.tensors)
      types[valid_utf8(t.source->info.name)] = t.format->name;
    const nlohmann::ordered_json extra = {
        {"recipe", planned.plan.recipe}, {"tensor_types", types}, {"notes", planned.plan.notes}};
    console.out << render_json(records, describe_environment(), extra);
    return {};
  }
  print_paragraph(
      fmt::format("{} would take {} (the source takes {}), {:.2f} bits per weight: {}", job.output,
                  format_bytes(planned.plan.file_bytes()), format_bytes(job.source().size_bytes()),
                  planned.plan.bits_per_weight(), planned.plan.summary()),
      console);
  return {};
}

Status run(const Arguments& arguments, Console& console) {
  if (arguments.has("--list")) return print_recipes(console);
  if (arguments.has("--verify-receipt"))
    return verify_receipt(arguments.text("--verify-receipt"), console);
  CB_TRY(QuantizeJob job, open_quantize_job(arguments, console));
  CB_TRY(const QuantizePlan planned, make_quantize_plan(arguments, job));
  for (const std::string& note : planned.plan.notes) console.note(note);
  if (changed_tensors(planned.plan) == 0)
    console.note("it is that small already: every tensor keeps its type");
  if (arguments.has("--dry-run")) return print_plan(arguments, job, planned, console);
  if (arguments.has("--write-imatrix")) {
    CB_TRY_STATUS(
        write_imatrix(*planned.calibration, job.text_name, arguments.text("--write-imatrix")));
  }
  CB_TRY(const RoundingChoice choice, choose_rounding(arguments, job, planned));
  if (!choice.note.empty()) console.note(choice.note);
  Receipt receipt{.command = console.command_line, .rounding = choice.description};
  CB_TRY(receipt.source_sha256, source_sha256(job.source()));
  receipt.calibration_sha256 = choice.calibration_sha256;
  CB_TRY(const std::optional<ComparisonResult> loss,
         write_measured(arguments, job, planned, choice, receipt, console));
  const std::vector<Record> records = records_of(job, planned, loss, console);
  if (arguments.has("--json")) {
    const nlohmann::ordered_json extra = {{"output", valid_utf8(job.output)},
                                          {"recipe", planned.plan.recipe},
                                          {"allocation", planned.plan.summary()},
                                          {"notes", planned.plan.notes}};
    console.out << render_json(records, describe_environment(), extra);
    return {};
  }
  print_paragraph(fmt::format("{}: {} (was {}), {}", job.output,
                              format_bytes(static_cast<std::uint64_t>(records[0].value)),
                              format_bytes(job.source().size_bytes()), planned.plan.summary()),
                  console);
  console.out << render_table(records,
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
        "a type per tensor so that the measured damage is least: for each tensor, noise is put "
        "into its output and the change in the model's predictions is measured on a calibration "
        "text. How weights are rounded at equal bytes is said by --rounding or chosen by --effort: "
        "with a calibration text of some thousand words, by second moments of what each matrix "
        "reads, so that columns make up for each other's errors; without one, weighed with the "
        "energy of each input column (of --imatrix where given; with --type only for types under "
        "3.1 bits). A quarter of that text is kept apart to measure the loss on.\n\n"
        "--fit counts what a run needs: weights as they lie in memory, the cache of keys and "
        "values for --context tokens, buffers and the program. The file's receipt (source, "
        "command, types, loss) is shown by `checkbit inspect`.\n\n"
        "The output appears under its name only when it is whole and measured.",
    .positionals = {{.name = "MODEL",
                     .kind = ValueKind::model,
                     .help = "a GGUF file or a pulled name",
                     .optional = true}},
    .flags = with_rounding_flags(
        {{.name = "--output",
          .short_name = 'o',
          .kind = ValueKind::path,
          .value_name = "FILE",
          .help = "the file to write"},
         {.name = "--type",
          .kind = ValueKind::recipe,
          .value_name = "TYPE",
          .help = "a type or mix of --list, such as Q4_K_M; Q2_K to Q5_K mean the mix, with "
                  "--pure the type"},
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
         cache_flag("the cache of keys and values that --fit has room for [f16]"),
         {.name = "--calibration",
          .kind = ValueKind::path,
          .value_name = "FILE",
          .help = "text to measure and round with instead of the built-in one, some thousand words "
                  "or more; or what --write-calibration kept"},
         {.name = "--imatrix",
          .kind = ValueKind::path,
          .value_name = "FILE",
          .help = "importance of columns to round with instead of what the calibration text "
                  "gives: a file of llama-imatrix, in either of its forms, or of "
                  "--write-imatrix"},
         {.name = "--write-imatrix",
          .kind = ValueKind::path,
          .value_name = "FILE",
          .help = "also write the importance of columns that was measured, as GGUF that "
                  "llama-quantize reads"},
         allocation_flag(),
         {.name = "--correct",
          .kind = ValueKind::integer,
          .value_name = "N",
          .help = "with --bpw and --fit: N times, quantize the tensors of one role at a time, "
                  "measure, and choose types again with predictions corrected by that",
          .default_value = "0",
          .maximum = 8},
         {.name = "--portable", .help = "only types that other GGUF programs know"},
         {.name = "--pure", .help = "with --type: that type for every matrix"},
         {.name = "--force", .help = "allow ternary types for ordinary models"},
         {.name = "--verify-receipt",
          .kind = ValueKind::path,
          .value_name = "FILE",
          .help = "make a quantized file again from its receipt and compare every byte"},
         {.name = "--no-measure", .help = "do not measure the loss"},
         {.name = "--dry-run", .help = "say what would be written, write nothing"},
         {.name = "--list", .help = "list the types and mixes"},
         kJsonFlag}),
    .examples =
        {{.command = "checkbit quantize smollm2-135m -o small.gguf --fit 120MiB --context 512"},
         {.command = "checkbit quantize smollm2-135m -o small.gguf --bpw 3.5"},
         {.command = "checkbit quantize qwen2.5-coder-1.5b -o q3.gguf --type Q3_K_M"},
         {.command = "checkbit quantize qwen2.5-coder-1.5b -o iq2.gguf --type IQ2_S --imatrix "
                     "qwen.imatrix.gguf"},
         {.command =
              "checkbit quantize smollm2-135m -o cb3.gguf --type CB3 --calibration book.txt"},
         {.command = "checkbit quantize --verify-receipt small.gguf"},
         {.command = "checkbit quantize --list"}},
    .check = check,
    .run = run};

}  // namespace checkbit
