// How the surprise at a text changes with every weight: one pass back through a model's steps.
//
// What: a `Tape` observes one forward pass (every token asking for logits) and keeps what each step
//   wrote; `backward` walks it from the end and hands over, for every matrix in use, what its
//   gradient is made of: dL/dW[r][c] = sum over t of out_gradient[t][r] * in[t][c]. Nothing of the
//   size of a model is kept.
// Loss: the mean surprise (nats) at the targets, as score/divergence.h has it.
// Accuracy: weights are those of the file, activations those the executor computed (rounded to 8
//   bits in products), rounding itself counts as the identity. Enough to rank weights by, and what
//   a change of a weight does when computed again agrees in the first order (backward_test).
// Shapes: rows of tokens [tokens][size]. Precondition: one sequence that begins with the batch.
// Errors: unsupported for a step without a derivative here, corrupt when the logits are not finite.
// Threads: the session's pool.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "run/session.h"

namespace checkbit {

/// One matrix of a linear step. A tied embedding comes as output matrix; what it does as table of
/// the input is left out.
struct MatrixGradient {
  Role role = Role::none;
  std::int64_t layer = 0;  ///< 0 outside the layers
  std::int64_t n_tokens = 0;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  const float* in = nullptr;            ///< [n_tokens][columns]
  const float* out_gradient = nullptr;  ///< [n_tokens][rows]

  /// dL/dW of one row: out [columns].
  void row(std::int64_t r, float* out) const;
  /// False when the row's gradient is too small to matter for anything.
  bool matters(std::int64_t r) const;
};

/// `targets[t]` is the token that position t should predict; -1: not scored. Reads `tokens` as the
/// start of a text (the session's cache is emptied) and gives the loss. `each` is called from one
/// thread, last layer first; it may be null.
using EachMatrix = std::function<void(const MatrixGradient&)>;
Result<double> loss_and_gradient(Session& session, std::span<const TokenId> tokens,
                                 std::span<const TokenId> targets, const EachMatrix& each);

}  // namespace checkbit
