#include "run/growing_text.h"

#include <algorithm>
#include <utility>

namespace checkbit {

Result<GrowingText> GrowingText::create(const Tokenizer& tokenizer, std::size_t vocabulary,
                                        std::span<const TokenId> prompt, GenerateOptions options,
                                        TextCallback on_text) {
  if (prompt.empty()) return fail(ErrorKind::invalid, "the prompt has no tokens; give some text");
  for (const std::string& stop : options.stop) {
    if (stop.empty()) return fail(ErrorKind::invalid, "a stop string is empty");
  }
  CB_TRY(Sampler sampler, Sampler::create(options.sampler, vocabulary));
  GrowingText text(tokenizer, std::move(sampler), std::move(options), std::move(on_text));
  text.history_.assign(prompt.begin(), prompt.end());
  text.generation_.prompt_tokens = prompt.size();
  if (text.options_.hash_logits) text.hash_ = std::make_unique<LogitsHash>();
  return text;
}

void GrowingText::choose(std::span<const float> logits) {
  if (hash_) hash_->update(logits);
  const auto draw = [&] { return sampler_.sample(logits, history_, generation_.tokens.size()); };
  next_ = draw();
  const std::uint32_t every = options_.check_draws_every;
  if (every == 0 || generation_.tokens.size() % every != 0) return;
  ++generation_.draws_checked;
  if (const TokenId second = draw(); second != next_) {
    ++generation_.draws_disagreed;
    next_ = draw();
  }
}

std::optional<StopReason> GrowingText::take(bool room) {
  const auto full = [&] { return std::ssize(generation_.tokens) >= options_.max_tokens; };
  if (full()) return StopReason::token_limit;  // of none
  generation_.tokens.push_back(next_);
  history_.push_back(next_);
  if (!options_.ignore_end && tokenizer_->is_end_of_generation(next_))
    return StopReason::end_of_generation;
  if (push(characters_.push(tokenizer_->piece(next_)))) return StopReason::stop_string;
  if (full()) return StopReason::token_limit;
  if (!room) return StopReason::context_full;
  return std::nullopt;
}

Generation GrowingText::finish(StopReason reason) {
  if (reason != StopReason::stop_string) {
    if (push(characters_.flush())) {
      reason = StopReason::stop_string;
    } else {
      pass(held_.size());
    }
  }
  generation_.reason = reason;
  if (hash_) generation_.logits_hash = hash_->hex();
  return std::move(generation_);
}

/// True when a stop string is complete; what precedes it has been passed on.
bool GrowingText::push(std::string_view piece) {
  held_ += piece;
  std::size_t found = std::string::npos;
  for (const std::string& stop : options_.stop) found = std::min(found, held_.find(stop));
  if (found != std::string::npos) {
    pass(found);
    held_.clear();
    return true;
  }
  pass(held_.size() - longest_partial());
  return false;
}

std::size_t GrowingText::longest_partial() const {
  std::size_t longest = 0;
  for (const std::string& stop : options_.stop) {
    for (std::size_t n = std::min(stop.size() - 1, held_.size()); n > longest; --n) {
      if (held_.ends_with(std::string_view(stop).substr(0, n))) longest = n;
    }
  }
  return longest;
}

void GrowingText::pass(std::size_t count) {
  if (count == 0) return;
  generation_.text.append(held_, 0, count);
  if (on_text_) on_text_(std::string_view(held_).substr(0, count));
  held_.erase(0, count);
}

}  // namespace checkbit
