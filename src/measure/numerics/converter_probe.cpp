// Whether a converted, requantized or sealed file behaves as its source: tensor by tensor and step
// by step, with the first place where it does not (conversion.h).

#include <fmt/format.h>

#include <algorithm>

#include "measure/numerics/conversion.h"
#include "measure/numerics/float_engine.h"
#include "measure/probes/probe.h"
#include "report/number.h"

namespace checkbit {
namespace {

constexpr std::size_t kUsualTokens = 16;
constexpr std::size_t kListed = 12;

std::string percent(double share) { return print_quantity(share, "share"); }

bool is_fault(const TensorCheck& check) {
  return check.state != TensorState::same && check.state != TensorState::rounded;
}

std::string in_words(const TensorCheck& check) {
  if (!check.first_damage)
    return fmt::format("tensor {} is {}", check.name, to_string(check.state));
  const DamagedUnit& unit = *check.first_damage;
  return fmt::format(
      "tensor {} block {} (row {}, columns from {}): off by {:.3g}, rounding to {} "
      "would leave {:.3g}",
      check.name, unit.unit, unit.row, unit.column, unit.error, check.converted_format,
      unit.expected);
}

/// States counted, then every fault and the most rounded tensors.
Table tensor_table(const std::vector<TensorCheck>& checks) {
  Table table{.caption = "Tensors that differ most",
              .columns = {"tensor", "from", "to", "state", "relative error", "damaged blocks"},
              .rows = {}};
  std::vector<const TensorCheck*> order;
  for (const TensorCheck& check : checks) order.push_back(&check);
  std::ranges::stable_sort(order, [](const TensorCheck* a, const TensorCheck* b) {
    return is_fault(*a) != is_fault(*b) ? is_fault(*a) : a->relative_error > b->relative_error;
  });
  for (const TensorCheck* check : order) {
    if (table.rows.size() == kListed) break;
    table.rows.push_back({check->name, check->source_format, check->converted_format,
                          std::string(to_string(check->state)), percent(check->relative_error),
                          std::to_string(check->damaged_units)});
  }
  return table;
}

Table metadata_table(const std::vector<MetadataDifference>& differences) {
  Table table{.caption = "Metadata keys that differ",
              .columns = {"key", "source", "converted"},
              .rows = {}};
  for (const MetadataDifference& d : differences) {
    if (table.rows.size() == kListed) break;
    table.rows.push_back({d.key, d.source.empty() ? "missing" : d.source,
                          d.converted.empty() ? "missing" : d.converted});
  }
  return table;
}

Table step_table(const OutputCheck& outputs) {
  const auto row = [](const char* what, const StepCheck& step) {
    return std::vector<std::string>{what, step.name, fmt::format("{:.3g}", step.error),
                                    fmt::format("{:.3g}", step.allowed)};
  };
  Table table{.caption = fmt::format("{} steps on {} tokens, each from the source's inputs",
                                     outputs.steps, outputs.tokens),
              .columns = {"", "step", "relative difference", "allowed"},
              .rows = {}};
  if (outputs.first_difference) table.rows.push_back(row("first over", *outputs.first_difference));
  table.rows.push_back(row("largest within", outputs.worst));
  return table;
}

/// The first place where the file does not behave as its source, most telling first.
Status verdict(const std::string& converted, const std::vector<TensorCheck>& checks,
               const std::vector<MetadataDifference>& metadata, const OutputCheck& outputs) {
  const auto fault = std::ranges::find_if(checks, is_fault);
  const std::string step = outputs.first_difference ? fmt::format("; first differing step: {}",
                                                                  outputs.first_difference->name)
                                                    : std::string();
  if (fault != checks.end()) {
    return fail(ErrorKind::corrupt, "{}: does not behave as its source: {}{}", converted,
                in_words(*fault), step);
  }
  if (outputs.first_difference) {
    return fail(ErrorKind::corrupt, "{}: does not behave as its source{}", converted, step);
  }
  if (!metadata.empty()) {
    return fail(ErrorKind::corrupt,
                "{}: does not behave as its source: metadata key {} is {}, {} there", converted,
                metadata.front().key,
                metadata.front().converted.empty() ? "missing" : metadata.front().converted,
                metadata.front().source.empty() ? "missing" : metadata.front().source);
  }
  return {};
}

void add_records(const std::vector<TensorCheck>& checks,
                 const std::vector<MetadataDifference>& metadata, const OutputCheck& outputs,
                 ProbeResult& result) {
  const auto add = [&](const char* name, double value, const char* unit) {
    result.records.push_back({.name = name, .value = value, .unit = unit});
  };
  const auto count = [&](auto&& wanted) {
    return static_cast<double>(std::ranges::count_if(checks, wanted));
  };
  double worst = 0;
  for (const TensorCheck& check : checks) worst = std::max(worst, check.relative_error);
  add("probe_converter_tensors_same",
      count([](const TensorCheck& c) { return c.state == TensorState::same; }), "tensors");
  add("probe_converter_tensors_rounded",
      count([](const TensorCheck& c) { return c.state == TensorState::rounded; }), "tensors");
  add("probe_converter_tensors_faulty", count(is_fault), "tensors");
  add("probe_converter_largest_weight_error", worst, "share");
  add("probe_converter_metadata_differences", static_cast<double>(metadata.size()), "");
  add("probe_converter_steps", static_cast<double>(outputs.steps), "");
  add("probe_converter_largest_step_error", outputs.worst.error, "share");
  add("probe_converter_divergence", outputs.divergence, "nats");
  add("probe_converter_choices_changed",
      static_cast<double>(outputs.changed_choices) / static_cast<double>(outputs.tokens), "share");
}

Result<ProbeResult> run(const ProbeContext& context) {
  CB_CHECK(context.reference != nullptr);
  Session* converted = context.subject.session();
  Session* source = context.reference->session();
  CB_CHECK(converted != nullptr && source != nullptr);
  const std::size_t tokens = context.limit > 0 ? context.limit : kUsualTokens;
  CB_TRY(const auto checks, check_tensors(source->file(), converted->file(), converted->pool()));
  const auto metadata = compare_metadata(source->file().metadata(), converted->file().metadata());
  CB_TRY(FloatEngine before, FloatEngine::open(*source, static_cast<std::int64_t>(tokens)));
  CB_TRY(FloatEngine after, FloatEngine::open(*converted, static_cast<std::int64_t>(tokens)));
  CB_TRY(const auto text, before.sample(1, tokens, context.seed, nullptr));
  CB_TRY(const OutputCheck outputs,
         check_steps(before.session(), after.session(), text[0], checks));
  ProbeResult result;
  add_records(checks, metadata, outputs, result);
  result.blocks.emplace_back(tensor_table(checks));
  if (!metadata.empty()) result.blocks.emplace_back(metadata_table(metadata));
  result.blocks.emplace_back(step_table(outputs));
  result.verdict = verdict(converted->file().path(), checks, metadata, outputs);
  return result;
}

}  // namespace

extern const Probe converter_probe;
const Probe converter_probe = {
    .name = "converter",
    .title = "Converter check",
    .papers = {132},
    .measures = "whether a file behaves as the one it was made from, and where first it does not",
    .score = "none: faults, with exit status 1 when there is one",
    .direction = Direction::neither,
    .needs_reference = true,
    .run = run};

}  // namespace checkbit
