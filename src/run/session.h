// A model that is open and ready: file, tokenizer, chat template, weights, executor, one sequence.
//
// What: the one way commands and measurements run a model. `evaluate` appends tokens to the
//   session's sequence; other sequences can be evaluated through `executor()`.
// Context: a full context is an error here; callers decide (run stops and says so).
// Errors: whatever opening the parts returns, with the file's name; invalid for impossible options.
// Threads: one call at a time; with pinned threads all from the thread that opened it, which is
//   held on a processor as long as the session lives.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "arch/executor.h"
#include "run/chat_template.h"
#include "run/session_guard.h"
#include "run/tokenizer.h"

namespace checkbit {

/// Whether threads stay on processors of their own; `usual`: where memory has several nodes and
/// there are processors enough.
enum class Pinning { usual, off, cores };

struct SessionOptions {
  std::int64_t context_tokens = 0;  ///< 0: the model's own, at most kDefaultContext
  int threads = 0;                  ///< 0: all usable processors
  Pinning pinning = Pinning::usual;
  bool lock_memory = false;  ///< keep packed weights from being swapped out, if the system lets
  bool repack = true;
  ActivationMode activations = ActivationMode::int8;
  std::optional<CacheType> cache_type;  ///< none: f16, with float activations f32
  GuardLevel guard = GuardLevel::off;
  std::uint32_t guard_every = 0;  ///< see Executor::set_guard_every
  /// For whoever attaches a guard (guard/live_guard.h): the scrubber's share of one processor.
  double scrub_share = 0.005;
  bool explain_guard = false;       ///< and whether to say what it covers
  std::int64_t batch_tokens = 256;  ///< prompt tokens per pass over the weights
  std::int64_t max_logits = 32;     ///< rows of logits held at once
};

inline constexpr std::int64_t kDefaultContext = 4096;
inline constexpr int kMaxThreads = 512;

enum class Logits { none, last, all };

/// Hash over all logits computed, in order: the witness of the one-answer principle.
class LogitsHash {
 public:
  LogitsHash();
  ~LogitsHash();
  LogitsHash(LogitsHash&&) noexcept;
  LogitsHash& operator=(LogitsHash&&) noexcept;
  void update(std::span<const float> row);
  std::string hex() const;  ///< 16 digits of XXH3

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class Session {
 public:
  static Result<Session> open(const std::string& path, const SessionOptions& options = {});
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  const ModelFile& file() const;
  const Model& model() const;
  Model& model();
  const Tokenizer& tokenizer() const;
  /// Null when the model has none. A broken template is an error of render_chat, not of opening.
  const std::string* chat_template_source() const;
  Executor& executor();
  const GuardCounters& guard_counters() const;
  const Executor& executor() const;
  ThreadPool& pool();
  const ThreadPool& pool() const;
  KvCache& cache();
  CacheType cache_type() const;
  Isa isa() const;
  std::int64_t context_tokens() const;
  const SessionOptions& options() const;
  /// Whether the weights are locked in memory, as lock_memory asks; if not, why.
  const Status& memory_lock() const;

  /// Keeps it for as long as the session lives; it ends before anything that it guards.
  void set_guard(std::unique_ptr<SessionGuard> guard);
  /// Null: nothing guards the session's memory.
  SessionGuard* guard() const;

  /// Weights, cache at full context and buffers: what the process needs beside its own code.
  std::uint64_t planned_bytes() const;

  /// Appends tokens. `row(i, logits)` is called for every token that gets logits, i being its index
  /// in `tokens`. Polls cancel_requested() between passes. Errors leave the cache as it was.
  using RowCallback = std::function<Status(std::size_t, std::span<const float>)>;
  Status evaluate(std::span<const TokenId> tokens, Logits wanted, const RowCallback& row);

  /// The prompt that the model's template makes of messages (see ChatTemplate::render).
  Result<std::string> render_chat(const nlohmann::ordered_json& messages,
                                  std::int64_t now_seconds) const;

 private:
  struct Impl;
  explicit Session(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace checkbit
