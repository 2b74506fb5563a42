// A generation as it grows, whoever evaluates the tokens: what `generate` and `BatchGenerator`
// share.
//
// What: chooses tokens from logits, puts their text together, holds back what may be the beginning
//   of a stop string, and says when it is over.
// Order of calls: choose(logits), take(room), and while take gives no reason, evaluate next() and
//   again; finish at the end, whatever the end is.
// Errors: of Sampler::create; invalid for an empty prompt or an empty stop string.
// Threads: one per object.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "run/generate.h"

namespace checkbit {

class GrowingText {
 public:
  /// The tokenizer must outlive it.
  static Result<GrowingText> create(const Tokenizer& tokenizer, std::size_t vocabulary,
                                    std::span<const TokenId> prompt, GenerateOptions options,
                                    TextCallback on_text);

  /// Draws the next token from the logits after all tokens so far.
  void choose(std::span<const float> logits);
  /// Takes the drawn token into the text. A reason: it is over, and the token need not be
  /// evaluated. `room`: whether the context could hold it.
  std::optional<StopReason> take(bool room);
  TokenId next() const { return next_; }
  /// Of prompt and text.
  std::span<const TokenId> tokens() const { return history_; }
  const GenerateOptions& options() const { return options_; }

  /// Seconds are the caller's to fill in. Precondition: called once.
  Generation finish(StopReason reason);

 private:
  GrowingText(const Tokenizer& tokenizer, Sampler sampler, GenerateOptions options,
              TextCallback on_text)
      : tokenizer_(&tokenizer),
        sampler_(std::move(sampler)),
        options_(std::move(options)),
        on_text_(std::move(on_text)) {}
  bool push(std::string_view piece);
  std::size_t longest_partial() const;
  void pass(std::size_t count);

  const Tokenizer* tokenizer_;
  Sampler sampler_;
  GenerateOptions options_;
  TextCallback on_text_;
  Generation generation_;
  std::vector<TokenId> history_;
  TokenId next_ = 0;
  std::unique_ptr<LogitsHash> hash_;  ///< null unless asked for
  Utf8Stream characters_;
  std::string held_;  ///< text that may be the beginning of a stop string
};

}  // namespace checkbit
