#include "run/generate.h"

#include <chrono>
#include <optional>

#include "base/progress.h"
#include "run/growing_text.h"

namespace checkbit {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

std::string_view to_string(StopReason reason) {
  switch (reason) {
    case StopReason::end_of_generation:
      return "end_of_generation";
    case StopReason::stop_string:
      return "stop_string";
    case StopReason::token_limit:
      return "token_limit";
    case StopReason::context_full:
      return "context_full";
    case StopReason::cancelled:
      return "cancelled";
  }
  return "unknown";
}

std::uint32_t checked_draws(const Session& session) {
  const Executor& executor = session.executor();
  return executor.guard() >= GuardLevel::check ? executor.guard_every() : 0;
}

Result<Generation> generate(Session& session, std::span<const TokenId> prompt,
                            const GenerateOptions& choices, const TextCallback& on_text) {
  GenerateOptions options = choices;
  options.check_draws_every = checked_draws(session);
  const auto vocabulary = static_cast<std::size_t>(session.model().hyperparameters().vocabulary);
  CB_TRY(GrowingText text,
         GrowingText::create(session.tokenizer(), vocabulary, prompt, options, on_text));
  const auto choose = [&](std::size_t, std::span<const float> logits) -> Status {
    text.choose(logits);
    return {};
  };
  auto start = Clock::now();
  if (auto status = session.evaluate(prompt, Logits::last, choose); !status) {
    if (!cancel_requested()) return status.error();
    Generation nothing;
    nothing.prompt_tokens = prompt.size();
    nothing.reason = StopReason::cancelled;
    return nothing;
  }
  const double prompt_seconds = seconds_since(start);
  start = Clock::now();
  std::optional<StopReason> over;
  while (!over) {
    over = text.take(session.cache().length() < session.cache().capacity());
    if (over) break;
    const TokenId next = text.next();
    if (auto status = session.evaluate({&next, 1}, Logits::last, choose); !status) {
      if (!cancel_requested()) return status.error();
      over = StopReason::cancelled;
    }
  }
  Generation generation = text.finish(*over);
  generation.prompt_seconds = prompt_seconds;
  generation.generation_seconds = seconds_since(start);
  return generation;
}

}  // namespace checkbit
