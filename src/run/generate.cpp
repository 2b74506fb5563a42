#include "run/generate.h"

#include <algorithm>
#include <chrono>

#include "base/progress.h"

namespace checkbit {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Holds back text that may be the beginning of a stop string.
class StopFilter {
 public:
  StopFilter(std::span<const std::string> stops, const TextCallback& on_text, std::string& text)
      : stops_(stops), on_text_(on_text), text_(text) {}

  /// True when a stop string is complete; what precedes it has been passed on.
  bool push(std::string_view piece) {
    held_ += piece;
    std::size_t found = std::string::npos;
    for (const std::string& stop : stops_) found = std::min(found, held_.find(stop));
    if (found != std::string::npos) {
      pass(found);
      held_.clear();
      return true;
    }
    pass(held_.size() - longest_partial());
    return false;
  }
  void flush() { pass(held_.size()); }

 private:
  std::size_t longest_partial() const {
    std::size_t longest = 0;
    for (const std::string& stop : stops_) {
      for (std::size_t n = std::min(stop.size() - 1, held_.size()); n > longest; --n) {
        if (held_.ends_with(std::string_view(stop).substr(0, n))) longest = n;
      }
    }
    return longest;
  }
  void pass(std::size_t count) {
    if (count == 0) return;
    text_.append(held_, 0, count);
    if (on_text_) on_text_(std::string_view(held_).substr(0, count));
    held_.erase(0, count);
  }

  std::span<const std::string> stops_;
  const TextCallback& on_text_;
  std::string& text_;
  std::string held_;
};

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

Result<Generation> generate(Session& session, std::span<const TokenId> prompt,
                            const GenerateOptions& options, const TextCallback& on_text) {
  if (prompt.empty()) return fail(ErrorKind::invalid, "the prompt has no tokens; give some text");
  for (const std::string& stop : options.stop) {
    if (stop.empty()) return fail(ErrorKind::invalid, "a stop string is empty");
  }
  const Tokenizer& tokenizer = session.tokenizer();
  CB_TRY(Sampler sampler,
         Sampler::create(options.sampler,
                         static_cast<std::size_t>(session.model().hyperparameters().vocabulary)));
  Generation g;
  g.prompt_tokens = prompt.size();
  LogitsHash hash;
  std::vector<TokenId> history(prompt.begin(), prompt.end());
  TokenId next = 0;
  const auto take = [&](std::size_t, std::span<const float> logits) -> Status {
    if (options.hash_logits) hash.update(logits);
    next = sampler.sample(logits, history, g.tokens.size());
    return {};
  };
  auto start = Clock::now();
  if (auto status = session.evaluate(prompt, Logits::last, take); !status) {
    if (!cancel_requested()) return status.error();
    g.reason = StopReason::cancelled;
    return g;
  }
  g.prompt_seconds = seconds_since(start);
  StopFilter filter(options.stop, on_text, g.text);
  Utf8Stream characters;
  start = Clock::now();
  while (static_cast<std::int64_t>(g.tokens.size()) < options.max_tokens) {
    g.tokens.push_back(next);
    history.push_back(next);
    if (!options.ignore_end && tokenizer.is_end_of_generation(next)) {
      g.reason = StopReason::end_of_generation;
      break;
    }
    if (filter.push(characters.push(tokenizer.piece(next)))) {
      g.reason = StopReason::stop_string;
      break;
    }
    if (static_cast<std::int64_t>(g.tokens.size()) >= options.max_tokens) break;
    if (session.cache().length() >= session.cache().capacity()) {
      g.reason = StopReason::context_full;
      break;
    }
    if (cancel_requested()) {
      g.reason = StopReason::cancelled;
      break;
    }
    if (auto status = session.evaluate({&next, 1}, Logits::last, take); !status) {
      if (!cancel_requested()) return status.error();
      g.reason = StopReason::cancelled;
      break;
    }
  }
  g.generation_seconds = seconds_since(start);
  if (g.reason != StopReason::stop_string) {
    if (filter.push(characters.flush())) {
      g.reason = StopReason::stop_string;
    } else {
      filter.flush();
    }
  }
  if (options.hash_logits) g.logits_hash = hash.hex();
  return g;
}

}  // namespace checkbit
