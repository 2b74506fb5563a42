// A model as the lockstep of compare.h sees it. A session implements it (session_source.h); tests
// implement it with tables.
//
// Threads: one call at a time.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "arch/executor.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "run/tokenizer.h"

namespace checkbit {

class LogitsSource {
 public:
  virtual ~LogitsSource() = default;
  /// Printed in errors: the model's file name.
  virtual std::string name() const = 0;
  /// Floats in a row of logits.
  virtual std::size_t vocabulary_size() const = 0;
  /// Forgets all context: the next token is the first of a text.
  virtual Status begin_window() = 0;
  /// Reads `tokens` after those already read in this window. With `want_logits` returns one row
  /// for each, row i being the prediction after tokens[i]; valid until the next call on this
  /// source. Without it returns no rows and may skip the output layer.
  virtual Result<LogitsView> read(std::span<const TokenId> tokens, bool want_logits) = 0;
  /// The most tokens of one call with logits: what it holds rows for.
  virtual std::size_t max_logits() const = 0;
  /// Threads that idle between two reads and may do other work there; null for none.
  virtual ThreadPool* pool() { return nullptr; }
};

}  // namespace checkbit
