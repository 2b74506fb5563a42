// Two rounds of answers to the same questions: is a model confident, is it critical?
//
// What: from each item's correctness before and after it was asked to correct itself: confidence
//   CL = P(right after | right before), critique CS = P(right after | wrong before), accuracies of
//   both rounds, and the relative self-correction score
//       RSS = (Acc2 - Acc1^2) / (2 Acc1 (1 - Acc1)),
//   where Acc2 stands between the least and the most that CL and CS of Acc1 could give:
//   Acc2 = Acc1 CL + (1 - Acc1) CS.
// Intervals: Wilson for shares, the bootstrap over items for RSS. What nothing was seen of (CS when
//   every first answer was right) is nullopt.
// Threads: pure functions.
// Reference: "Confidence v.s. Critique: A Decomposition of Self-Correction Capability for LLMs".
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "score/statistics.h"

namespace checkbit {

struct TwoRounds {
  bool before = false;  ///< the first answer was right
  bool after = false;
};

struct SelfCorrection {
  std::uint64_t items = 0;
  Estimate accuracy_before;
  Estimate accuracy_after;
  std::optional<Estimate> confidence;  ///< CL
  std::optional<Estimate> critique;    ///< CS
  std::optional<Estimate> relative;    ///< RSS
};

/// Precondition: not empty.
SelfCorrection score_self_correction(std::span<const TwoRounds> rounds,
                                     const BootstrapOptions& bootstrap = {});

}  // namespace checkbit
