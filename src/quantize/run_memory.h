// What `checkbit run` takes in memory beside the weights of a planned file.
//
// What: the terms of --fit. Cache at full context, buffers as `run` makes them (one row of logits),
//   8-bit activations for every form that the planned formats ask for, sampler, and the
//   program itself: what was resident before any weight was (measured) and the code that only
//   evaluation touches (kProgramCodeBytes). Row look-ups in the embedding read the file's map and
//   give it back.
// Units: bytes. Threads: values.
#pragma once

#include <cstdint>

#include "quantize/plan.h"
#include "run/session.h"

namespace checkbit {

struct RunMemory {
  std::uint64_t cache_bytes = 0;
  std::uint64_t buffer_bytes = 0;  ///< without 8-bit activations
  std::uint64_t sampler_bytes = 0;
  std::uint64_t program_bytes = 0;
  std::int64_t batch_tokens = 0;
  const Architecture* architecture = nullptr;
  std::int64_t layers = 0;
};

/// Of a run with this context and type of cache. `session`: of the source, from its map;
/// `start_bytes`: resident in this process before any weights. Errors: invalid (context), memory.
Result<RunMemory> run_memory(Session& session, const Plan& source, std::int64_t context_tokens,
                             CacheType cache_type, std::uint64_t start_bytes);

/// The most that a plan of integer formats for this source takes beside its weights.
std::uint64_t beside_weights_bytes(const RunMemory& memory, const Plan& source);

/// What a run of the planned file takes at most: while it loads or when its context is full.
std::uint64_t promised_bytes(const RunMemory& memory, const Plan& plan);

/// 8-bit activations of a plan: the most that any group of linear steps asks for.
std::uint64_t activation_bytes(const RunMemory& memory, const Plan& plan);
/// The most that any choice of integer formats asks for.
std::uint64_t most_activation_bytes(const RunMemory& memory, const Plan& plan);

}  // namespace checkbit
