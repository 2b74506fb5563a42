#include "cli/quantize_rounding.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "cli/quantize_receipt.h"
#include "cli/version.h"
#include "quantize/round_estimate.h"
#include "quantize/write_model.h"

namespace checkbit {
namespace {

constexpr std::string_view kEffortFast = "fast";
constexpr std::string_view kEffortDefault = "default";
constexpr std::string_view kEffortMax = "max";

/// What an effort means where nothing is asked for by name.
struct Effort {
  std::string_view name;
  std::string_view method;
  std::int64_t tokens;
  int sweeps;
};
constexpr std::array kEfforts = {Effort{kEffortFast, "weighted", 0, 0},
                                 Effort{kEffortDefault, "descent", 8192, 1},
                                 Effort{kEffortMax, "descent", 32768, 3}};

const Effort& effort_of(const Arguments& arguments) {
  const std::string name = arguments.text("--effort");
  const auto found = std::ranges::find(kEfforts, name, &Effort::name);
  return found == kEfforts.end() ? kEfforts[1] : *found;
}

/// Fewer say too little of how columns go together for error feedback to be chosen unasked.
constexpr std::size_t kEnoughTokens = 2048;

bool any_takes_feedback(const Plan& plan) {
  return std::ranges::any_of(plan.tensors, [](const TensorPlan& t) {
    return t.format != t.source->info.format && is_quantizable(t) && takes_feedback(*t.format);
  });
}

std::string describe(const RoundingChoice& choice, std::uint64_t tokens,
                     const std::string& text_name, const Arguments& arguments) {
  const RoundingOptions& rounding = choice.options.rounding;
  std::string text =
      fmt::format("{} with {} tokens of {}, damping {}, {} order", choice.method->name, tokens,
                  text_name, rounding.damping, arguments.text("--column-order"));
  if (choice.method->sweeps > 0) text += fmt::format(", {} sweeps", rounding.sweeps);
  return text;
}

}  // namespace

std::vector<Flag> with_rounding_flags(std::vector<Flag> flags) {
  Flag method = {.name = "--rounding",
                 .kind = ValueKind::choice,
                 .value_name = "METHOD",
                 .help =
                     "how weights are rounded, at equal bytes: nearest, weighted (by the energy "
                     "of columns), feedback (second moments, errors made up for), descent "
                     "(feedback, then blocks anew), propagated (descent on the quantized "
                     "model's inputs); without it --effort chooses"};
  for (const RoundingMethod* m : all_roundings()) method.choices.push_back(m->name);
  const std::vector<Flag> more = {
      method,
      {.name = "--effort",
       .kind = ValueKind::choice,
       .value_name = "LEVEL",
       .help = "time for less damage: fast (weighted), default (descent), max (more text, "
               "more sweeps)",
       .default_value = "default",
       .choices = {kEffortFast, kEffortDefault, kEffortMax}},
      {.name = "--calibration-tokens",
       .kind = ValueKind::integer,
       .value_name = "N",
       .help = "tokens of the calibration text that rounding reads, at most",
       .minimum = static_cast<double>(kFewestTokens)},
      {.name = "--damping",
       .kind = ValueKind::number,
       .value_name = "X",
       .help = "of the mean energy, added to every column's",
       .default_value = "0.01",
       .minimum = 1e-6,
       .maximum = 1},
      {.name = "--column-order",
       .kind = ValueKind::choice,
       .value_name = "ORDER",
       .help = "columns are rounded with the largest energy first, or as they stand in the file",
       .default_value = "energy",
       .choices = {"energy", "file"}},
      {.name = "--write-calibration",
       .kind = ValueKind::path,
       .value_name = "FILE",
       .help = "also keep the second moments that rounding measured: --calibration FILE then uses "
               "them for any type"}};
  flags.insert(flags.end(), more.begin(), more.end());
  return flags;
}

Status check_rounding_flags(const Arguments& arguments) {
  if (arguments.has("--rounding") && arguments.has("--imatrix")) {
    const RoundingMethod* method = find_rounding(arguments.text("--rounding"));
    if (method != nullptr && method->uses_moments)
      return fail(ErrorKind::invalid,
                  "quantize: --imatrix holds energies of single columns; --rounding {} needs how "
                  "they go together, which only a text gives",
                  method->name);
  }
  return {};
}

Result<RoundingChoice> choose_rounding(const Arguments& arguments, const QuantizeJob& job,
                                       const QuantizePlan& planned) {
  const Plan& plan = planned.plan;
  const Effort& effort = effort_of(arguments);
  const bool by_name = arguments.has("--rounding");
  RoundingChoice choice;
  choice.method = find_rounding(by_name ? arguments.text("--rounding") : effort.method);
  if (!by_name && choice.method->uses_moments) {
    const bool cannot = job.imatrix || !any_takes_feedback(plan);
    const bool short_text = !job.moments && job.rounding_text().size() < kEnoughTokens;
    // Drift needs the text itself.
    if (job.moments) choice.method = find_rounding("descent");
    if (!cannot && short_text) {
      choice.note = fmt::format(
          "rounding column by column: {} has {} tokens to round with, error feedback wants {}; "
          "give "
          "a longer text with --calibration for less damage at the same size",
          job.text_name, job.rounding_text().size(), kEnoughTokens);
    }
    if (cannot || short_text) choice.method = find_rounding("weighted");
  }
  choice.options.method = choice.method;
  CB_TRY(choice.calibration_sha256, calibration_sha256(arguments));
  choice.save_path = arguments.text("--write-calibration");
  if (!choice.save_path.empty()) {
    if (!choice.method->uses_moments || choice.method->follows_drift || job.moments)
      return fail(
          ErrorKind::invalid,
          "quantize: --write-calibration keeps what --rounding feedback or descent measures "
          "on a text; {} measures nothing of the kind",
          choice.method->name);
    CB_TRY_STATUS(check_output_path(job.source(), choice.save_path));
  }
  RoundingOptions& rounding = choice.options.rounding;
  rounding.damping = arguments.number("--damping");
  rounding.energy_order = arguments.text("--column-order") == "energy";
  rounding.sweeps = std::max(effort.sweeps, by_name ? choice.method->sweeps : 0);
  if (!choice.method->uses_moments) {
    // Without energies, which more bits hardly need, it comes to the same.
    if (!planned.calibration) choice.method = find_rounding("nearest");
    choice.description = choice.method->name;
    return choice;
  }
  if (job.moments) {
    if (choice.method->follows_drift)
      return fail(ErrorKind::invalid,
                  "quantize: --rounding {} needs a text to read; moments that were measured before "
                  "do for feedback and descent",
                  choice.method->name);
    choice.options.saved = &*job.moments;
    choice.description =
        describe(choice, job.moments->info().tokens, job.moments->info().text_name, arguments);
    return choice;
  }
  constexpr std::size_t kDefaultTokens = 8192;
  const auto most = arguments.has("--calibration-tokens")
                        ? static_cast<std::size_t>(arguments.integer("--calibration-tokens"))
                        : std::max(kDefaultTokens, static_cast<std::size_t>(effort.tokens));
  choice.tokens = std::min(most, job.rounding_text().size());
  CB_TRY_STATUS(check_rounding_text(choice.tokens));
  choice.description = describe(choice, choice.tokens, job.text_name, arguments);
  return choice;
}

Result<std::optional<TensorJournal>> open_journal(const RoundingChoice& choice,
                                                  const QuantizeJob& job, const Plan& plan,
                                                  const std::string& source_sha256,
                                                  Console& console) {
  if (!choice.method->uses_moments) return std::optional<TensorJournal>{};
  const auto text = job.rounding_text().first(choice.tokens);
  std::string words =
      fmt::format("{} {} {} {} {}\n", kVersion, source_sha256, choice.calibration_sha256,
                  choice.description, fmt::join(text, " "));
  for (const TensorPlan& t : plan.tensors)
    words += fmt::format("{} {}\n", t.source->info.name, t.format->name);
  CB_TRY(TensorJournal journal, TensorJournal::open(job.output, words));
  if (journal.tensors() > 0)
    console.note(
        fmt::format("going on where a start that was killed ended: {} tensors are rounded "
                    "already",
                    journal.tensors()));
  if (journal.replaced_another())
    console.note(
        "a start with other flags, model or text was killed before it was done: what it "
        "had rounded is of no use here and is gone");
  return std::optional<TensorJournal>(std::move(journal));
}

Result<std::optional<RoundedModel>> round_tensors(const RoundingChoice& choice, QuantizeJob& job,
                                                  const Plan& plan,
                                                  const std::string& source_sha256,
                                                  TensorJournal* journal, Console& console) {
  if (!choice.method->uses_moments) return std::optional<RoundedModel>{};
  const std::uint64_t tokens = job.moments ? 0 : choice.tokens;
  const double seconds = estimate_rounding_seconds(plan, *choice.method, choice.options.rounding,
                                                   tokens, job.session.pool().size());
  console.note(fmt::format("rounding by {}: about {} on an idle machine", choice.method->name,
                           seconds < 90 ? fmt::format("{:.0f} s", std::max(1.0, seconds))
                                        : fmt::format("{:.0f} min", seconds / 60)));
  RoundModelOptions options = choice.options;
  options.journal = journal;
  std::optional<MomentsWriter> writer;
  if (!choice.save_path.empty()) {
    const MomentsInfo info = {
        .source_sha256 = source_sha256, .text_name = job.text_name, .tokens = choice.tokens};
    CB_TRY(writer,
           MomentsWriter::create(choice.save_path, moments_entries(job.session.model().config()),
                                 info, moment_copies(*choice.method), options.memory_bytes));
    options.save = &*writer;
  }
  CB_TRY(RoundedModel rounded,
         round_model(job.source(), plan, kernels_for(job.session.isa()), job.session.pool(),
                     job.rounding_text().first(choice.tokens), options));
  if (writer) CB_TRY_STATUS(writer->finish());
  if (rounded.silent_columns * 20 > rounded.columns)
    console.note(
        fmt::format("{} of {} input columns were never touched by the calibration text: it "
                    "is of another kind than what the model was made for, or too short",
                    rounded.silent_columns, rounded.columns));
  return std::optional<RoundedModel>(std::move(rounded));
}

}  // namespace checkbit
