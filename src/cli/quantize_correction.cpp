#include "cli/quantize_correction.h"

#include <algorithm>
#include <set>

#include "quantize/write_model.h"

namespace checkbit {
namespace {

/// A factor beyond these says more about a short text than about the role.
constexpr double kMostFactor = 4;

/// The plan and the noise of one role's tensors alone.
struct RolePart {
  Plan plan;
  UseNoise noise;
};

RolePart part_of(Role role, const BudgetPlan& planned, const Calibration& calibration) {
  RolePart part{.plan = planned.plan, .noise = {}};
  for (TensorPlan& t : part.plan.tensors) {
    if (t.role != role) t.format = t.source->info.format;
    const auto uses = calibration.uses.find(t.source->info.name);
    if (t.role != role || uses == calibration.uses.end()) continue;
    for (const TensorUse& use : uses->second) {
      const auto noise = planned.noise.find(use.use);
      if (noise != planned.noise.end()) part.noise.insert(*noise);
    }
  }
  return part;
}

Result<double> measured(QuantizeJob& job, const Plan& plan, const Calibration& calibration) {
  const auto text =
      std::span<const TokenId>(job.text).first(std::min(job.text.size(), kCorrectionTokens));
  CB_TRY(const GgufWriter writer,
         write_unnamed(job.source(), plan, {}, &calibration, job.output, job.session.pool()));
  CB_TRY(const ComparisonResult loss,
         measure_written(job, writer.temporary_path(), text, loss_options(job, text)));
  return loss.candidates.front().divergence->mean.value;
}

}  // namespace

Status correct_factors(QuantizeJob& job, const BudgetPlan& planned, const Calibration& calibration,
                       Calibrator& calibrator, DamageFactors& factors) {
  std::set<Role> roles;
  for (const TensorPlan& t : planned.plan.tensors)
    if (t.format != t.source->info.format) roles.insert(t.role);
  for (const Role role : roles) {
    const RolePart part = part_of(role, planned, calibration);
    CB_TRY(const double predicted, calibrator.divergence(part.noise));
    CB_TRY(const double found, measured(job, part.plan, calibration));
    if (!(predicted > 0) || !(found > 0)) continue;
    const double factor = std::clamp(found / predicted, 1 / kMostFactor, kMostFactor);
    // What was corrected before is in the plan, not in what noise predicts: the latest counts.
    factors[role] = factor;
  }
  return {};
}

}  // namespace checkbit
