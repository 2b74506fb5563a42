// Many prompts answered at once: rows of one batch share each pass over the weights.
//
// What: up to `sequences` prompts are in work, each in a cache of its own; a row that is finished
// is
//   refilled from the queue. What a prompt has in common with one that has been read (few-shot
//   examples, a system prompt, the same prompt sampled again) is copied from that cache instead of
//   being read again. Every answer is the one that `generate` gives for its prompt alone in an
//   empty session, token for token and bit for bit (docs/numerics.md), whatever runs beside it.
// Shape of use: submit any number of requests, then step until it returns nothing more to do;
//   requests may be submitted and cancelled between steps, so a vote can stop when it is decided.
//   `generate_batch` does it for a list.
// Units: tokens, bytes. Seconds of a Generation count the time that others took as well.
// Memory: a cache of prompt + max_tokens positions (at most the session's context) for each row in
//   work; a finished row's is kept until the row is needed.
// Errors: submit: invalid (empty prompt or stop string, sampler, a prompt longer than the context:
//   the request's number is named). step: what the executor returns, cancelled. After an error of
//   step only destruction makes sense.
// Threads: one at a time; it uses the session alone, whose own sequence is left as it is.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "run/growing_text.h"
#include "run/session.h"

namespace checkbit {

struct BatchRequest {
  std::vector<TokenId> prompt;
  GenerateOptions options;  ///< hash_logits too
  TextCallback on_text;     ///< may be empty
};

struct GenerateBatchOptions {
  std::size_t sequences = 8;  ///< rows in work at once; the session's max_logits bounds them too
};

class BatchGenerator {
 public:
  /// The session must outlive it.
  explicit BatchGenerator(Session& session, const GenerateBatchOptions& options = {});

  /// Numbers count from 0 in order of submission.
  Result<std::size_t> submit(BatchRequest request);

  struct Finished {
    std::size_t number = 0;
    Generation generation;
  };
  /// One pass over the weights for all rows in work; gives those that finished with it.
  Result<std::vector<Finished>> step();
  /// Ends a request wherever it is; it comes back with the next step, with what it has so far.
  void cancel(std::size_t number);

  bool idle() const { return queue_.empty() && ended_early_.empty() && working() == 0; }
  std::size_t waiting() const { return queue_.size(); }
  std::size_t working() const;
  /// Prompt tokens that were copied from another cache instead of read.
  std::uint64_t shared_tokens() const { return shared_tokens_; }

 private:
  struct Waiting {
    std::size_t number;
    GrowingText text;
  };
  struct Row {
    std::optional<KvCache> cache;
    std::vector<TokenId> tokens;      ///< what the cache holds, then what is still to be read
    std::optional<GrowingText> text;  ///< none: free
    std::size_t number = 0;
    double started = 0;      ///< seconds of the steady clock
    double prompt_read = 0;  ///< 0: not yet
    std::size_t read() const { return static_cast<std::size_t>(cache->length()); }
  };
  /// What a prompt shares with a row.
  struct Match {
    Row* row = nullptr;
    std::size_t shared = 0;
  };

  Status admit();
  Match best_match(std::span<const TokenId> prompt) const;
  Row& free_row(const Match& match);
  Status start(Row& row, Waiting waiting, const Match& match);
  void fill_batch();
  void add_unread(Row& row);
  void finish(Row& row, StopReason reason, std::vector<Finished>& finished);

  Session& session_;
  std::vector<std::unique_ptr<Row>> rows_;
  std::deque<Waiting> queue_;
  std::vector<Finished> ended_early_;  ///< for the next step
  std::vector<BatchToken> batch_;
  std::vector<Row*> asked_;  ///< whose logits come with the pass, in order
  std::size_t next_number_ = 0;
  std::uint64_t shared_tokens_ = 0;
};

using BatchCallback = std::function<Status(std::size_t number, const Generation& generation)>;

/// All of `requests`, in their order. `done`, if given, hears of each as it finishes, in whatever
/// order that is. Shows progress in answers under `label`.
Result<std::vector<Generation>> generate_batch(Session& session, std::vector<BatchRequest> requests,
                                               const GenerateBatchOptions& options = {},
                                               const BatchCallback& done = {},
                                               const std::string& label = "answering");

}  // namespace checkbit
