// A plan for a budget: the formats whose predicted damage is least.
//
// What: for every matrix, each candidate format's damage is predicted from the calibration (see
//   calibrate.h) and the squared error on a sample of rows; a method of allocate/allocations.def
//   chooses. A tensor may also stay as it is. Damage measured on files corrects what is predicted,
//   by role. Sizes are the file's bytes (--bpw) or the packed bytes in memory (--fit).
// Errors: budget (names the smallest possible size), corrupt (a weight is not finite: tensor, row).
// Threads: one call at a time; encodes on all threads of the pool.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/thread_pool.h"
#include "quantize/allocate/allocations.h"
#include "quantize/calibrate.h"
#include "quantize/plan.h"

namespace checkbit {

enum class BudgetKind { file_bytes, packed_bytes };

struct BudgetOptions {
  BudgetKind kind = BudgetKind::file_bytes;
  std::uint64_t bytes =
      0;  ///< for all tensors, those that are not changed included, and fixed_bytes
  std::uint64_t fixed_bytes = 0;  ///< what the budget must hold beside the tensors
  bool standard_only = false;     ///< only formats that other GGUF programs know
  std::int64_t sample_rows = 96;
};

/// How often the damage of a role's tensors is what calibration predicts; 1 where nothing is said.
using DamageFactors = std::map<Role, double>;

struct BudgetPlan {
  Plan plan;
  double summed_damage = 0;  ///< nats per token, were damages to add up however large
  double least_damage = 0;   ///< no choice of formats has a smaller sum
  UseNoise noise;            ///< expected rounding error in every use's output
};

/// The error of a budget that no choice of formats meets; needs no calibration, so it comes first.
Status check_budget(const ModelFile& file, const BudgetOptions& options);

/// Formats tried once, to choose among them several times.
class BudgetPlanner {
 public:
  /// `file` must outlive the planner.
  static Result<BudgetPlanner> create(const ModelFile& file, const Calibration& calibration,
                                      const BudgetOptions& options, ThreadPool& pool);
  Result<BudgetPlan> choose(const AllocationMethod& method,
                            const DamageFactors& factors = {}) const;

 private:
  /// What noise one format of a tensor makes in each of its uses.
  using Noise = std::vector<std::pair<Use, double>>;

  Plan plan_;  ///< every tensor with its own format
  AllocationTask task_;
  std::vector<std::vector<const Format*>> formats_;  ///< [tensors][options]
  std::vector<std::vector<Noise>> noises_;           ///< the same
};

}  // namespace checkbit
