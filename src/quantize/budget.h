// A plan for a budget: the formats whose predicted damage is least.
//
// What: for every matrix, each candidate format's damage is predicted from the calibration (see
//   calibrate.h) and the squared error on a sample of rows; allocate() chooses. A tensor may also
//   stay as it is. Sizes are the file's bytes (--bpw) or the packed bytes in memory (--fit).
// Errors: budget (names the smallest possible size), corrupt (a weight is not finite: tensor, row).
// Threads: one call at a time; encodes on all threads of the pool.
#pragma once

#include <cstdint>

#include "base/thread_pool.h"
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

struct BudgetPlan {
  Plan plan;
  double summed_damage = 0;  ///< nats per token, were damages to add up however large
  UseNoise noise;            ///< expected rounding error in every use's output
};

/// The error of a budget that no choice of formats meets; needs no calibration, so it comes first.
Status check_budget(const ModelFile& file, const BudgetOptions& options);

Result<BudgetPlan> plan_budget(const ModelFile& file, const Calibration& calibration,
                               const BudgetOptions& options, ThreadPool& pool);

}  // namespace checkbit
