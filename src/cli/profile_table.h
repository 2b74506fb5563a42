// A profile as a table and as JSON.
//
// What: one line per operation, by time: milliseconds a token, share of the pass, bytes of weights
// a
//   second and multiply-adds a second, each as share of what the machine reaches in `SpeedLimits`.
// Threads: pure functions.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "arch/step_profiler.h"

namespace checkbit {

/// What memory and arithmetic reach at most here; 0: unknown.
struct SpeedLimits {
  double bandwidth = 0;     ///< bytes a second
  double integer_peak = 0;  ///< multiply-adds a second
};

std::string profile_table(std::string_view title, const StepProfiler& profile,
                          std::int64_t n_tokens, const SpeedLimits& limits);
nlohmann::ordered_json profile_json(const StepProfiler& profile);

}  // namespace checkbit
