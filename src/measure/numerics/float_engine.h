// The float model that numerics probes compare with, and emulated engines on top of it.
//
// What: a second session over a model's file whose products take float activations and whose cache
//   is binary32: no rounding but binary32's own. An `Emulation` rounds what chosen operations write
//   to any float width (float_format.h), so that one set of weights plays many engines.
// Operations are named after the role of their weights ("ffn_down", "attention_norm") or after the
//   kind of step ("rope", "attention", "add").
// Text: sampled from the model itself at temperature 1, so that probes need no file; seeded.
// Errors: those of the session; corrupt for logits that are not finite where they must be.
// Threads: one call at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "measure/numerics/float_format.h"
#include "run/session.h"

namespace checkbit {

std::string operation_name(const Step& step);
/// Every operation of a family once, in order of use; norms, scales and caps that the model does
/// not have are left out.
std::vector<std::string> operations_of(const Model& model);

/// Rounds the outputs of operations.
class Emulation : public StepObserver {
 public:
  /// Every operation to `format`.
  explicit Emulation(const FloatFormat& format) : usual_(format) {}
  /// Only the named ones.
  explicit Emulation(std::map<std::string, FloatFormat, std::less<>> formats)
      : formats_(std::move(formats)) {}
  /// Takes an operation out: what it writes stays binary32, as inside a fused kernel.
  void leave_alone(const std::string& operation) { formats_[operation] = kBinary32; }
  void after(const StepView& view) override;

 private:
  std::optional<FloatFormat> usual_;
  std::map<std::string, FloatFormat, std::less<>> formats_;
};

using TokenSequence = std::vector<TokenId>;

class FloatEngine {
 public:
  /// Over the file of an open session, for sequences of at most `context` tokens.
  static Result<FloatEngine> open(const Session& like, std::int64_t context);

  Session& session() { return session_; }
  const Model& model() const { return session_.model(); }

  /// row(i, logits) after every token of one sequence; `observer` may be null.
  Status read(std::span<const TokenId> tokens, StepObserver* observer,
              const Session::RowCallback& row);
  /// `count` sequences of `length` tokens sampled by the engine, all in one batch; the first token
  /// is the model's beginning of text, or drawn at random where it has none.
  Result<std::vector<TokenSequence>> sample(std::size_t count, std::size_t length,
                                            std::uint64_t seed, StepObserver* observer);

 private:
  explicit FloatEngine(Session session) : session_(std::move(session)) {}
  Session session_;
};

/// Index of the first cumulative probability over `draw` in [0, 1). Precondition: finite logits.
TokenId sample_token(std::span<const float> logits, double draw);

/// Logits of sequences, kept to compare others with.
class KeptLogits {
 public:
  static Result<KeptLogits> read(FloatEngine& engine, std::vector<TokenSequence> sequences);
  /// Mean KL divergence of the emulated engine from the kept logits, in nats a token; infinity when
  /// it gives logits that are not finite.
  Result<double> divergence(FloatEngine& engine, StepObserver* observer) const;

 private:
  std::vector<TokenSequence> sequences_;
  std::vector<std::vector<float>> rows_;  ///< of every token in turn
};

}  // namespace checkbit
