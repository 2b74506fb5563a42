// Generating text: prompt in, tokens out, one callback per piece of whole characters.
//
// What: evaluates the prompt, then samples and evaluates token by token until an end token, a stop
//   string, the token limit, the end of the context or a cancel. Stop strings are cut from the
//   text, also when they arrive over several tokens.
// Errors: those of Session::evaluate and Sampler::create; a cancel is not an error but a reason.
// One
//   during the prompt leaves the sequence as it was and no logits, hence no hash.
// Threads: one generation per session at a time.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "run/sampler.h"
#include "run/session.h"

namespace checkbit {

enum class StopReason { end_of_generation, stop_string, token_limit, context_full, cancelled };
std::string_view to_string(StopReason reason);

struct GenerateOptions {
  std::int64_t max_tokens = 256;  ///< 0: only evaluate the prompt
  std::vector<std::string> stop;  ///< not empty strings
  SamplerOptions sampler;
  bool ignore_end = false;   ///< go on after an end token (benchmarks)
  bool hash_logits = false;  ///< a percent of the time of a small model
  /// Draws one token in so many twice and compares; 0: none. `generate` takes the session's.
  std::uint32_t check_draws_every = 0;
};

struct Generation {
  std::string text;             ///< without stop string and end token
  std::vector<TokenId> tokens;  ///< generated ids, end token included
  StopReason reason = StopReason::token_limit;
  std::size_t prompt_tokens = 0;
  double prompt_seconds = 0;
  double generation_seconds = 0;  ///< of the tokens after the first
  std::string logits_hash;        ///< over all logits computed, if asked for
  std::uint64_t draws_checked = 0;
  std::uint64_t draws_disagreed = 0;  ///< the third draw decided
};

/// One in so many draws of a session of this guard level is checked; 0: none.
std::uint32_t checked_draws(const Session& session);

using TextCallback = std::function<void(std::string_view)>;

/// Continues the session's sequence with `prompt` (not empty). `history` of the sampler starts with
/// it.
Result<Generation> generate(Session& session, std::span<const TokenId> prompt,
                            const GenerateOptions& options, const TextCallback& on_text = {});

}  // namespace checkbit
