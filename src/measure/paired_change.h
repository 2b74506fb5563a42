// Did one candidate change less than another? Two measurements of one text, paired window by
// window.
//
// What: two candidates that were measured over the same windows, in one run or in two; the
//   difference is taken within each block, so what is hard for both cancels out.
// Units: nats per token, shares of tokens.
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "measure/compare.h"

namespace checkbit {

struct PairedChange {
  std::optional<Estimate> divergence;  ///< mean divergence, `to` minus `from`; with references
  std::optional<Estimate> changed;     ///< share of changed choices, `to` minus `from`
  Estimate perplexity_ratio;           ///< `to` over `from`
  std::uint64_t blocks_more = 0;       ///< blocks where `to` diverges more (or is more surprised)
  std::uint64_t blocks_less = 0;
  double p_value = 1;  ///< sign test over them
};

/// None when the two were not measured on the same windows.
std::optional<PairedChange> paired_change(const CandidateResult& from, const CandidateResult& to,
                                          const BootstrapOptions& options = {});

}  // namespace checkbit
