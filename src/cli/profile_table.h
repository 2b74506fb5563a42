// A profile as tables and as JSON.
//
// What: one line per operation, by time: milliseconds and bytes read a token, share of the pass,
//   bytes and multiply-adds a second, each as share of what the machine reaches in `SpeedLimits`.
//   Then one line per layer, and one per kernel with why it was chosen.
// Threads: pure functions.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "arch/step_profiler.h"
#include "run/session.h"

namespace checkbit {

/// What memory and arithmetic reach at most here; 0: unknown.
struct SpeedLimits {
  double bandwidth = 0;     ///< bytes a second
  double integer_peak = 0;  ///< multiply-adds a second
};

std::string profile_table(std::string_view title, const StepProfiler& profile,
                          std::int64_t n_tokens, const SpeedLimits& limits);
/// Prompt and generation side by side; without prompt tokens only generation.
std::string layer_table(const StepProfiler& prompt, std::int64_t prompt_tokens,
                        const StepProfiler& generation, std::int64_t generated_tokens,
                        const SpeedLimits& limits);
/// Instruction set, kernels and large pages of a session, with reasons.
std::string kernel_table(const Session& session);

nlohmann::ordered_json profile_json(const StepProfiler& profile);
nlohmann::ordered_json layers_json(const StepProfiler& profile);
nlohmann::ordered_json kernels_json(const Model& model);

}  // namespace checkbit
