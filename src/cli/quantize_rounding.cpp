#include "cli/quantize_rounding.h"

#include <algorithm>
#include <array>

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
                                 Effort{kEffortMax, "propagated", 32768, 3}};

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
       .help = "time for less damage: fast (weighted), default (descent), max (propagated)",
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
       .choices = {"energy", "file"}}};
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
                                       const Plan& plan) {
  const Effort& effort = effort_of(arguments);
  const bool by_name = arguments.has("--rounding");
  RoundingChoice choice;
  choice.method = find_rounding(by_name ? arguments.text("--rounding") : effort.method);
  if (!by_name && choice.method->uses_moments) {
    const bool cannot = job.imatrix || !any_takes_feedback(plan);
    const bool short_text = job.rounding_text().size() < kEnoughTokens;
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
  RoundingOptions& rounding = choice.options.rounding;
  rounding.damping = arguments.number("--damping");
  rounding.energy_order = arguments.text("--column-order") == "energy";
  rounding.sweeps = std::max(effort.sweeps, by_name ? choice.method->sweeps : 0);
  if (!choice.method->uses_moments) {
    choice.description = choice.method->name;
    return choice;
  }
  constexpr std::size_t kDefaultTokens = 8192;
  const auto most = arguments.has("--calibration-tokens")
                        ? static_cast<std::size_t>(arguments.integer("--calibration-tokens"))
                        : std::max(kDefaultTokens, static_cast<std::size_t>(effort.tokens));
  choice.tokens = std::min(most, job.rounding_text().size());
  CB_TRY_STATUS(check_rounding_text(choice.tokens));
  choice.description =
      fmt::format("{} with {} tokens of {}, damping {}, {} order", choice.method->name,
                  choice.tokens, job.text_name, rounding.damping, arguments.text("--column-order"));
  if (choice.method->sweeps > 0) choice.description += fmt::format(", {} sweeps", rounding.sweeps);
  return choice;
}

Result<std::optional<RoundedModel>> round_tensors(const RoundingChoice& choice, QuantizeJob& job,
                                                  const Plan& plan) {
  if (!choice.method->uses_moments) return std::optional<RoundedModel>{};
  CB_TRY(RoundedModel rounded,
         round_model(job.source(), plan, kernels_for(job.session.isa()), job.session.pool(),
                     job.rounding_text().first(choice.tokens), choice.options));
  return std::optional<RoundedModel>(std::move(rounded));
}

}  // namespace checkbit
