// A predictor of failures: one file each, listed in predictors.def.
//
// What: given a table of tokens and the outcome of the training rows, a predictor gives every row a
//   score, higher meaning likelier to fail. evaluate.h measures it on rows that it was not fitted
//   on; windows get the mean score of their tokens.
// Rules (the contract test holds them to it): a score depends on what the reference knows about its
//   own row and on outcomes of training rows only, unless `reads_model` says that it also reads the
//   low-bit model's loss on its own row; same input, same bits.
// Threads: records are constant, `score` is pure.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "measure/predict/token_table.h"
#include "score/linear_fit.h"

namespace checkbit {

/// What a token's failure is.
enum class Failure {
  changed,  ///< the low-bit model's choice is not the reference's
  wrong     ///< the low-bit model's choice is not the text's next token
};
std::string_view to_string(Failure failure);
inline constexpr Failure kFailures[] = {Failure::changed, Failure::wrong};
inline bool has_failed(const TokenRow& row, Failure failure) {
  return failure == Failure::changed ? row.changed : row.wrong;
}

struct Predictor {
  std::string_view name;     ///< as in predictors.def
  std::string_view title;    ///< for people: "size of the residual stream"
  std::string_view summary;  ///< one sentence
  bool reads_model = false;  ///< detects after the fact: reads the low-bit model's loss
  /// One finite score per row of the table. `train`: the rows whose outcomes may be read, not
  /// empty.
  std::vector<double> (*score)(const TokenTable& table, std::span<const std::size_t> train,
                               Failure failure) = nullptr;
};

/// In the order of predictors.def; the first is the plain baseline.
std::span<const Predictor* const> all_predictors();
/// Null when unknown.
const Predictor* find_predictor(std::string_view name);

/// The mean size of the stream that enters the last quarter of the layers (at least one).
double late_residual(const TokenTable& table, std::size_t row);

/// What the reference knows of each token, as numbers: entropy, log probability of its choice,
/// margin, late residual, how the stream grew to there, position.
Design reference_features(const TokenTable& table);

}  // namespace checkbit
