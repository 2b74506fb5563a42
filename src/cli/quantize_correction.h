// Predicted damage, corrected by what files show.
//
// What: of a budget's plan, the tensors of one role at a time are written as planned and all others
//   as they are; the divergence measured on that file, over the one predicted from noise, is the
//   role's factor. The budget is then planned again with damages multiplied by the factors.
// Cost: per role one file of the source's size beside the output (removed at once) and a reading of
//   at most kCorrectionTokens tokens by both models.
// Errors: those of writing and measuring. Threads: one.
// Source: sensitivities measured anew between reallocations, the idea of QBitOpt.
#pragma once

#include "cli/quantize_job.h"

namespace checkbit {

inline constexpr std::size_t kCorrectionTokens = 512;

/// Sets the factor of each role that `planned` changes.
Status correct_factors(QuantizeJob& job, const BudgetPlan& planned, const Calibration& calibration,
                       Calibrator& calibrator, DamageFactors& factors);

}  // namespace checkbit
