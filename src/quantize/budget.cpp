#include "quantize/budget.h"

#include <algorithm>
#include <cmath>

#include "base/progress.h"

namespace checkbit {
namespace {

/// What a budget may choose: written and multiplied by Checkbit as integers, and not only for
/// models that were trained for it.
bool is_candidate(const Format& format, bool standard_only) {
  return format.encode != nullptr && format.unpack != nullptr && !format.ternary &&
         !(standard_only && format.own);
}

std::vector<const Format*> candidates_for(const TensorPlan& tensor, bool standard_only) {
  std::vector<const Format*> formats = {tensor.source->info.format};
  if (!is_quantizable(tensor)) return formats;
  for (const Format* format : all_formats()) {
    if (!is_candidate(*format, standard_only)) continue;
    if (tensor.source->info.columns() % static_cast<std::uint64_t>(format->block_elements) != 0)
      continue;
    // Larger than it is now cannot gain anything.
    if (format == formats[0] || format->bits_per_weight() >= formats[0]->bits_per_weight())
      continue;
    formats.push_back(format);
  }
  return formats;
}

std::uint64_t size_of(const TensorPlan& tensor, BudgetKind kind) {
  return kind == BudgetKind::file_bytes ? tensor.file_bytes() : tensor.resident_bytes();
}

/// Evenly spaced rows of a tensor as floats.
struct RowSample {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::vector<float> values;
};

Result<RowSample> sample_rows(const ModelTensor& tensor, std::int64_t wanted) {
  RowSample sample;
  const auto rows = static_cast<std::int64_t>(tensor.info.rows());
  sample.columns = static_cast<std::int64_t>(tensor.info.columns());
  sample.rows = std::min(rows, wanted);
  sample.values.resize(static_cast<std::size_t>(sample.rows * sample.columns));
  const Format& format = *tensor.info.format;
  for (std::int64_t i = 0; i < sample.rows; ++i) {
    const std::int64_t row = (2 * i + 1) * rows / (2 * sample.rows);
    float* out = sample.values.data() + i * sample.columns;
    format.decode(tensor.bytes.data() + static_cast<std::size_t>(row) * tensor.info.row_bytes(),
                  static_cast<std::size_t>(sample.columns / format.block_elements), out);
    const auto bad =
        std::find_if(out, out + sample.columns, [](float v) { return !std::isfinite(v); });
    if (bad != out + sample.columns) {
      return fail(ErrorKind::corrupt, "tensor {}: the weight in row {}, column {} is not finite",
                  tensor.info.name, row, bad - out);
    }
  }
  return sample;
}

/// Mean over the sampled rows of sum over columns of energy[c] * error^2.
double weighted_error(const RowSample& sample, const std::vector<float>& decoded,
                      const std::vector<double>& energy) {
  double sum = 0;
  for (std::int64_t r = 0; r < sample.rows; ++r) {
    for (std::int64_t c = 0; c < sample.columns; ++c) {
      const auto at = static_cast<std::size_t>(r * sample.columns + c);
      const double error = double{sample.values[at]} - double{decoded[at]};
      sum += error * error * (energy.empty() ? 1.0 : energy[static_cast<std::size_t>(c)]);
    }
  }
  return sum / static_cast<double>(sample.rows);
}

/// The sample as the writer would round it.
std::vector<float> rounded(const RowSample& sample, const Format& format,
                           const std::vector<float>& importance) {
  const auto columns = static_cast<std::size_t>(sample.columns);
  const std::size_t blocks = columns / static_cast<std::size_t>(format.block_elements);
  std::vector<std::uint8_t> encoded(blocks * static_cast<std::size_t>(format.block_bytes));
  std::vector<float> decoded(sample.values.size());
  for (std::size_t at = 0; at < sample.values.size(); at += columns) {
    format.encode(sample.values.data() + at, blocks,
                  importance.empty() ? nullptr : importance.data(), encoded.data());
    format.decode(encoded.data(), blocks, decoded.data() + at);
  }
  return decoded;
}

/// Mean squared error of each use's output.
std::vector<double> output_errors(const RowSample& sample, const Format& format,
                                  const std::vector<TensorUse>& uses) {
  const std::vector<float> decoded = rounded(sample, format, column_importance(uses));
  std::vector<double> errors;
  for (const TensorUse& use : uses) {
    double error = weighted_error(sample, decoded, use.column_energy);
    if (use.column_energy.empty())
      error /= static_cast<double>(sample.columns);  // a table: per element, as its energy
    errors.push_back(error);
  }
  return errors;
}

double damage(const std::vector<double>& errors, const std::vector<TensorUse>& uses) {
  double sum = 0;
  for (std::size_t u = 0; u < uses.size(); ++u) {
    if (uses[u].output_energy > 0) sum += uses[u].sensitivity * errors[u] / uses[u].output_energy;
  }
  return sum;
}

/// A tensor, the formats it may take, and what each would cost.
struct Candidates {
  std::vector<const Format*> formats;
  AllocationItem options;
  std::vector<std::vector<double>> errors;  ///< [formats][uses]
  const std::vector<TensorUse>* uses = nullptr;
};

Result<Candidates> try_formats(const TensorPlan& tensor, const Calibration& calibration,
                               const BudgetOptions& options, ThreadPool& pool) {
  Candidates c;
  c.formats = candidates_for(tensor, options.standard_only);
  c.options.resize(c.formats.size());
  c.errors.resize(c.formats.size());
  for (std::size_t f = 0; f < c.formats.size(); ++f) {
    TensorPlan trial = tensor;
    trial.format = c.formats[f];
    c.options[f].bytes = size_of(trial, options.kind);
  }
  const auto uses = calibration.uses.find(tensor.source->info.name);
  if (uses == calibration.uses.end() || c.formats.size() < 2) return c;
  c.uses = &uses->second;
  CB_TRY(const RowSample sample, sample_rows(*tensor.source, options.sample_rows));
  // The first is what the tensor is already.
  pool.for_ranges(static_cast<std::int64_t>(c.formats.size()) - 1, [&](std::int64_t begin,
                                                                       std::int64_t end) {
    for (auto f = static_cast<std::size_t>(begin) + 1; f < static_cast<std::size_t>(end) + 1; ++f) {
      c.errors[f] = output_errors(sample, *c.formats[f], *c.uses);
      c.options[f].loss = damage(c.errors[f], *c.uses);
    }
  });
  return c;
}

/// Both errors round the smallest up, so that asking for what they say succeeds.
Error too_few_bits(const ModelFile& file, std::uint64_t bytes, std::uint64_t smallest,
                   std::uint64_t elements) {
  const double per_byte = 8.0 / static_cast<double>(elements);
  return fail(ErrorKind::budget,
              "{}: {:.2f} bits per weight are too few: the smallest possible is --bpw {:.3f}",
              file.path(), static_cast<double>(bytes) * per_byte,
              std::ceil(1000 * static_cast<double>(smallest) * per_byte) / 1000);
}

Error too_little_memory(const ModelFile& file, const BudgetOptions& options,
                        std::uint64_t smallest) {
  constexpr double kMiB = 1 << 20;
  // What the program itself takes is measured, and differs a little from one start to the next.
  constexpr std::uint64_t kMeasuredSlack = 512u << 10;
  return fail(ErrorKind::budget,
              "{}: {:.2f} MiB are too little: the smallest possible is --fit {:.0f}MiB, {:.0f} MiB "
              "of it for what is not weights (cache, buffers, program)",
              file.path(), static_cast<double>(options.bytes) / kMiB,
              std::ceil(static_cast<double>(smallest + kMeasuredSlack) / kMiB),
              static_cast<double>(options.fixed_bytes) / kMiB);
}

}  // namespace

Status check_budget(const ModelFile& file, const BudgetOptions& options) {
  CB_TRY(const Plan plan, plan_copy(file));
  std::uint64_t smallest = options.fixed_bytes;
  for (TensorPlan tensor : plan.tensors) {
    std::uint64_t least = UINT64_MAX;
    for (const Format* format : candidates_for(tensor, options.standard_only)) {
      tensor.format = format;
      least = std::min(least, size_of(tensor, options.kind));
    }
    smallest += least;
  }
  if (smallest <= options.bytes) return {};
  return options.kind == BudgetKind::file_bytes
             ? too_few_bits(file, options.bytes, smallest, plan.elements())
             : too_little_memory(file, options, smallest);
}

Result<BudgetPlanner> BudgetPlanner::create(const ModelFile& file, const Calibration& calibration,
                                            const BudgetOptions& options, ThreadPool& pool) {
  CB_TRY_STATUS(check_budget(file, options));
  BudgetPlanner planner;
  CB_TRY(planner.plan_, plan_copy(file));
  planner.task_.budget_bytes = options.bytes - options.fixed_bytes;
  Progress progress("trying formats", planner.plan_.tensors.size(), "tensors");
  for (const TensorPlan& tensor : planner.plan_.tensors) {
    if (cancel_requested()) return cancelled_error();
    CB_TRY(Candidates tried, try_formats(tensor, calibration, options, pool));
    std::vector<Noise> noises(tried.formats.size());
    for (std::size_t f = 0; f < noises.size(); ++f) {
      for (std::size_t u = 0; u < tried.errors[f].size(); ++u)
        noises[f].emplace_back((*tried.uses)[u].use, tried.errors[f][u]);
    }
    planner.task_.items.push_back(std::move(tried.options));
    planner.task_.elements.push_back(std::max<std::uint64_t>(1, tensor.source->info.elements()));
    planner.formats_.push_back(std::move(tried.formats));
    planner.noises_.push_back(std::move(noises));
    file.drop_pages(*tensor.source);
    progress.advance();
  }
  return planner;
}

Result<BudgetPlan> BudgetPlanner::choose(const AllocationMethod& method,
                                         const DamageFactors& factors) const {
  AllocationTask task = task_;
  for (std::size_t i = 0; i < task.items.size(); ++i) {
    const auto factor = factors.find(plan_.tensors[i].role);
    if (factor == factors.end()) continue;
    for (AllocationOption& option : task.items[i]) option.loss *= factor->second;
  }
  CB_TRY(const Choice chosen, allocate_by(method, task));
  BudgetPlan result{
      .plan = plan_, .summed_damage = loss_of(task, chosen), .least_damage = relax(task).bound};
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    result.plan.tensors[i].format = formats_[i][chosen[i]];
    result.noise.insert(noises_[i][chosen[i]].begin(), noises_[i][chosen[i]].end());
  }
  result.plan.recipe = "budget";
  return result;
}

}  // namespace checkbit
