// What one row of logits says: the likelihood of a token, and how far two models disagree.
//
// What: `summarize_row` gives the normaliser of a softmax, its entropy and the top token;
//   `compare_rows` gives both of both and the Kullback-Leibler divergence in one pass. All
//   arithmetic is double.
// Shapes: a row is `vocabulary` floats (logits, not probabilities); two rows have equal length.
// Units: nats.
// Accuracy: the exponential is our own, so that it vectorises: below 1 unit in the last place of
//   relative error away from underflow; arguments below -708 give 0. Sums run in eight lanes in
//   one fixed order, so the result has the same bits for every instruction set.
// Rows that hold NaN or +infinity, or only -infinity: `finite` is false and the rest means nothing.
//   Single entries of -infinity (masked tokens) are legal: probability 0.
// Memory: none allocated. Threads: pure functions.
#pragma once

#include <cstddef>
#include <span>

#include "score/top_tokens.h"

namespace checkbit {

/// The softmax of a row in a few numbers.
struct RowSummary {
  double max = 0;       ///< the largest logit
  double log_sum = 0;   ///< log(sum(exp(logit - max)))
  double entropy = 0;   ///< -sum p log p, in nats
  std::size_t top = 0;  ///< index of the largest logit, the lowest one on a tie
  bool finite = false;  ///< the row is usable
};

/// Precondition: `logits` is not empty.
RowSummary summarize_row(std::span<const float> logits);
/// The same without the entropy, which is 0 here: for likelihoods alone, and sooner.
RowSummary sum_row(std::span<const float> logits);

/// log softmax(logits)[token], at most 0. Precondition: token < logits.size().
double log_probability(std::span<const float> logits, const RowSummary& row, std::size_t token);

struct RowComparison {
  RowSummary reference;
  RowSummary model;
  /// KL(reference || model) = sum p (log p - log q), never negative; exactly 0 for equal rows,
  /// infinite when the model gives probability 0 to what the reference finds possible.
  double kl_divergence = 0;
  bool same_top() const { return reference.top == model.top; }
};

/// Precondition: equal sizes, not empty.
RowComparison compare_rows(std::span<const float> reference, std::span<const float> model);
/// The same where the largest logits of both are known already: what find_top_tokens gives.
RowComparison compare_rows(std::span<const float> reference, const TopTokens& reference_top,
                           std::span<const float> model, const TopTokens& model_top);

namespace detail {
/// The exponential used above, for x <= 0. For the test of its accuracy.
double exp_nonpositive(double x);
/// Whether compare_rows runs the AVX2 body here; `set_wide_rows(false)` forces the plain one, and
/// gives the same bits. For tests.
bool wide_rows();
void set_wide_rows(bool wanted);
}  // namespace detail

}  // namespace checkbit
