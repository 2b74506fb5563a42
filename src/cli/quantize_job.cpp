#include "cli/quantize_job.h"

#include <fstream>

#include "base/resident_memory.h"
#include "cli/engine_flags.h"
#include "cli/quantize_correction.h"
#include "cli/read_input.h"
#include "file/pull.h"
#include "measure/session_source.h"
#include "quantize/calibration_text.h"
#include "quantize/run_memory.h"
#include "quantize/write_model.h"

namespace checkbit {
namespace {

Result<Calibrator> calibrator_for(QuantizeJob& job) {
  return Calibrator::create(job.session.model(), kernels_for(job.session.isa()), job.session.pool(),
                            job.text);
}

bool is_gguf(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  char magic[4] = {};
  file.read(magic, sizeof(magic));
  return std::string_view(magic, sizeof(magic)) == "GGUF";
}

Result<QuantizePlan> plan_for_budget(const BudgetOptions& budget, QuantizeJob& job) {
  CB_TRY_STATUS(check_budget(job.source(), budget));
  QuantizePlan planned;
  CB_TRY(planned.plan, plan_copy(job.source()));
  const std::uint64_t own_bytes = budget.kind == BudgetKind::packed_bytes
                                      ? planned.plan.resident_bytes()
                                      : planned.plan.file_bytes();
  if (own_bytes + budget.fixed_bytes <= budget.bytes) return planned;  // nothing to choose
  CB_TRY(Calibrator calibrator, calibrator_for(job));
  if (!job.calibration) {
    CB_TRY(job.calibration, calibrator.measure());
  }
  planned.calibration = job.calibration;
  if (job.imatrix) apply_imatrix(*job.imatrix, *planned.calibration);
  CB_TRY(const BudgetPlanner planner,
         BudgetPlanner::create(job.source(), *planned.calibration, budget, job.session.pool()));
  CB_TRY(BudgetPlan plan, planner.choose(*job.allocation));
  DamageFactors factors;
  for (std::int64_t n = 0; n < job.corrections; ++n) {
    CB_TRY_STATUS(correct_factors(job, plan, *planned.calibration, calibrator, factors));
    CB_TRY(plan, planner.choose(*job.allocation, factors));
  }
  CB_TRY(planned.predicted, calibrator.divergence(plan.noise));
  planned.summed_damage = plan.summed_damage;
  planned.least_damage = plan.least_damage;
  planned.plan = std::move(plan.plan);
  return planned;
}

Result<QuantizePlan> plan_to_fit(const Arguments& arguments, QuantizeJob& job) {
  CB_TRY(const Plan source, plan_copy(job.source()));
  CB_TRY(const RunMemory memory,
         run_memory(job.session, source, arguments.integer("--context"),
                    cache_type_of(arguments).value_or(CacheType::f16), job.start_bytes));
  const BudgetOptions budget = {.kind = BudgetKind::packed_bytes,
                                .bytes = arguments.bytes("--fit"),
                                .fixed_bytes = beside_weights_bytes(memory, source),
                                .standard_only = arguments.has("--portable")};
  CB_TRY(QuantizePlan planned, plan_for_budget(budget, job));
  planned.promised_bytes = promised_bytes(memory, planned.plan);
  return planned;
}

/// With few bits, which columns count decides what is left: below this many per weight their energy
/// is measured even when nobody asks.
constexpr double kFewBits = 3.1;

bool has_few_bits(const Plan& plan) {
  return std::ranges::any_of(plan.tensors, [](const TensorPlan& t) {
    return t.format != t.source->info.format && !t.format->ternary &&
           t.format->bits_per_weight() < kFewBits;
  });
}

Result<QuantizePlan> plan_types(const Arguments& arguments, QuantizeJob& job) {
  if (arguments.has("--fit")) return plan_to_fit(arguments, job);
  if (arguments.has("--bpw"))
    return plan_for_bits(arguments.number("--bpw"), arguments.has("--portable"), job);
  QuantizePlan planned;
  CB_TRY(planned.plan, plan_recipe(job.source(), arguments.text("--type"), arguments.has("--pure"),
                                   arguments.has("--force")));
  return planned;
}

}  // namespace

SessionOptions mapped_session_options(int threads) {
  SessionOptions options;
  options.threads = threads;
  options.repack = false;
  options.batch_tokens = kLossWindow / 2;  // a window's context is one pass
  options.max_logits = kLossChunk;
  return options;
}

Result<QuantizeJob> open_quantize_job(const Arguments& arguments, Console& console) {
  CB_TRY(const std::string path, resolve_model(arguments.text("MODEL")));
  CB_TRY(Session session, Session::open(path, mapped_session_options(console.threads)));
  CB_TRY_STATUS(check_output_path(session.file(), arguments.text("--output")));
  std::optional<ImportanceMatrix> imatrix;
  if (arguments.has("--imatrix")) {
    CB_TRY(imatrix, read_imatrix(arguments.text("--imatrix")));
    CB_TRY_STATUS(check_imatrix(*imatrix, session.file(), arguments.text("--imatrix")));
  }
  if (arguments.has("--write-imatrix")) {
    CB_TRY_STATUS(check_output_path(session.file(), arguments.text("--write-imatrix")));
  }
  std::string text = kCalibrationText;
  std::string text_name = "built-in calibration text";
  std::optional<MomentsFile> moments;
  if (arguments.has("--calibration") && is_gguf(arguments.text("--calibration"))) {
    CB_TRY(moments, MomentsFile::open(arguments.text("--calibration")));
    CB_TRY(const std::string hash, source_sha256(session.file()));
    CB_TRY_STATUS(moments->check(moments_entries(session.model().config()), hash));
  } else if (arguments.has("--calibration")) {
    text_name = arguments.text("--calibration");
    CB_TRY(text, read_text_input(text_name, console));
  }
  const std::uint64_t vector_bytes = session.model().packed_bytes();
  const std::uint64_t start_bytes =
      resident_bytes() - std::min(resident_bytes(), vector_bytes + text.size());
  std::vector<TokenId> tokens = session.tokenizer().encode(text);
  return QuantizeJob{std::move(session), arguments.text("--output"), start_bytes,
                     std::move(tokens),  std::move(text_name),       std::move(imatrix),
                     std::move(moments)};
}

CompareOptions loss_options(const QuantizeJob& job, std::span<const TokenId> text) {
  CompareOptions compare;
  compare.chunk_tokens = kLossChunk;
  compare.context_tokens = std::min({text.size(), static_cast<std::size_t>(kLossWindow),
                                     static_cast<std::size_t>(job.session.context_tokens())});
  return compare;
}

Result<ComparisonResult> measure_written(QuantizeJob& job, const std::string& path,
                                         std::span<const TokenId> text,
                                         const CompareOptions& compare) {
  SessionOptions options = mapped_session_options(job.session.pool().size());
  options.context_tokens = static_cast<std::int64_t>(compare.context_tokens);
  CB_TRY(Session model, Session::open(path, options));
  SessionSource changed(model);
  SessionSource reference(job.session);
  return compare_models(changed, &reference, text, compare);
}

Result<QuantizePlan> plan_for_bits(double bits, bool portable, QuantizeJob& job) {
  std::uint64_t elements = 0;
  for (const ModelTensor& t : job.source().tensors()) elements += t.info.elements();
  return plan_for_budget(
      {.bytes = static_cast<std::uint64_t>(bits / 8.0 * static_cast<double>(elements)),
       .standard_only = portable},
      job);
}

Status weigh_columns(bool asked_for, QuantizeJob& job, QuantizePlan& planned) {
  if (planned.calibration) return {};
  if (job.imatrix) {
    apply_imatrix(*job.imatrix, planned.calibration.emplace());
  } else if (asked_for || has_few_bits(planned.plan)) {
    if (!job.energies && job.moments) {
      CB_TRY(job.energies, energies_of(*job.moments, job.session.model().config()));
    }
    if (!job.energies) {
      CB_TRY(Calibrator calibrator, calibrator_for(job));
      CB_TRY(job.energies, calibrator.energies());
    }
    planned.calibration = job.energies;
  }
  return {};
}

Result<QuantizePlan> make_quantize_plan(const Arguments& arguments, QuantizeJob& job) {
  if (arguments.has("--allocation"))
    job.allocation = find_allocation(arguments.text("--allocation"));
  if (arguments.has("--correct")) job.corrections = arguments.integer("--correct");
  CB_TRY(QuantizePlan planned, plan_types(arguments, job));
  const bool types_only = arguments.has("--type") && arguments.has("--dry-run");
  if (!types_only) {
    const bool asked_for =
        arguments.has("--write-imatrix") || arguments.text("--rounding") == "weighted";
    CB_TRY_STATUS(weigh_columns(asked_for, job, planned));
  }
  return planned;
}

}  // namespace checkbit
