// Everything that the reference knows at once: a logistic regression on its features, their squares
// and products.

#include "measure/predict/predictor.h"

namespace checkbit {
namespace {

std::vector<double> score(const TokenTable& table, std::span<const std::size_t> train,
                          Failure failure) {
  const Design features = reference_features(table).quadratic();
  std::vector<double> failed(table.rows.size(), 0);
  for (const std::size_t r : train) failed[r] = has_failed(table.rows[r], failure) ? 1 : 0;
  return LinearFit::logistic(features, failed, {train, {}}).predict(features);
}

}  // namespace

extern const Predictor combined_predictor;
const Predictor combined_predictor = {
    .name = "combined",
    .title = "all that the reference knows",
    .summary = "logistic regression on entropy, margin, probability, residual sizes and position",
    .score = score};

}  // namespace checkbit
