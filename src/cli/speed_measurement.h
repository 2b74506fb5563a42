// What `checkbit bench` measures: prompt and generation speed, and the share of the memory
// bandwidth that generating uses.
//
// Speeds: every run starts from the same context of `depth_tokens`, evaluated once. The first run
//   warms caches and clocks and does not count.
// Share: generating some tokens alternates with reading a buffer as large as what one token
//   reads, by the same threads, equally many bytes each. The speed of memory changes within
//   seconds on shared machines; neighbours in time see the same speed, so each pair gives a share,
//   and the median of the shares is the figure.
// Errors: those of Session::evaluate; cancelled.
#pragma once

#include <vector>

#include "arch/step_profiler.h"
#include "run/session.h"

namespace checkbit {

struct SpeedPlan {
  std::int64_t prompt_tokens = 512;  ///< 0: no prompt runs
  std::int64_t generated_tokens = 64;
  std::int64_t depth_tokens = 0;  ///< tokens in the context before prompt and generation
  std::int64_t runs = 6;
};

/// Tokens of context that a plan needs.
std::int64_t context_tokens(const SpeedPlan& plan);

/// Tokens per second, one value per run.
struct Speeds {
  std::vector<double> prompt;
  std::vector<double> generation;
};
Result<Speeds> measure_speeds(Session& session, const SpeedPlan& plan);

/// Tokens per second of `sequences` sequences together, each generating in every pass over the
/// weights; one value per run. Precondition: as many logits a pass as sequences.
Result<std::vector<double>> measure_sequences(Session& session, std::int64_t sequences,
                                              const SpeedPlan& plan);

/// Weights that one generated token reads (every matrix, but of the embedding one row unless it is
/// also the output), and the keys and values of the `depth_tokens` before it.
std::int64_t bytes_per_token(const Session& session, std::int64_t depth_tokens);
/// Multiply-adds with weights that one generated token takes.
std::int64_t products_per_token(const Model& model);

/// Multiply-adds per second of all threads together in a loop of nothing but 8-bit dot products,
/// the limit of reading prompts: the best of several tries.
double measure_integer_peak(Session& session);

/// One value per pair.
struct ReadShares {
  std::vector<double> bandwidth;  ///< of the buffer, bytes per second
  std::vector<double> share;      ///< of generating, 0..1
};
/// From a context of `depth_tokens`, which must still be there (after measure_speeds).
Result<ReadShares> measure_read_shares(Session& session, std::int64_t depth_tokens);

/// One prompt and then `generated_tokens` tokens under a profiler each.
struct Profiles {
  StepProfiler prompt;
  StepProfiler generation;
};
Result<Profiles> measure_profiles(Session& session, const SpeedPlan& plan);

}  // namespace checkbit
