// Balanced true class probability: an estimator of the probability that the low-bit model will give
// to the right token, fitted so that the few failures weigh as much as the many successes.
//
// What: the true class is the reference's choice (changed) or the text's next token (wrong). Its
//   probability under the low-bit model is a share in [0, 1] and is fitted by logistic regression
//   on what the reference knows. Successes outnumber failures and easy rows outnumber hard ones, so
//   each class gets half of all weight, and within it a row weighs as much as the current estimate
//   misses it: the two imbalances, of numbers and of distances, that the paper names. The
//   uncertainty is one minus the estimate.
// Reference: "Identifying Incorrect Classifications with Balanced Uncertainty"; the exponent of
//   the distance is ours.

#include <cmath>

#include "measure/predict/predictor.h"

namespace checkbit {
namespace {

constexpr int kRounds = 4;
constexpr double kLeastDistance = 0.05;  // rows that fit perfectly still count

double true_class_probability(const TokenRow& row, Failure failure) {
  return std::exp(failure == Failure::changed ? static_cast<double>(row.choice_log_probability)
                                              : -static_cast<double>(row.loss));
}

std::vector<double> score(const TokenTable& table, std::span<const std::size_t> train,
                          Failure failure) {
  const Design features = reference_features(table).quadratic();
  std::vector<double> share(table.rows.size(), 0);
  for (const std::size_t r : train) share[r] = true_class_probability(table.rows[r], failure);
  std::vector<double> weights(train.size(), 1);
  LinearFit estimator = LinearFit::logistic(features, share, {train, weights});
  for (int round = 0; round < kRounds; ++round) {
    double total[2] = {0, 0};
    for (std::size_t i = 0; i < train.size(); ++i) {
      const std::size_t r = train[i];
      const double estimate = logistic_function(estimator(features.row(r)));
      weights[i] = std::max(std::abs(estimate - share[r]), kLeastDistance);
      total[has_failed(table.rows[r], failure) ? 1 : 0] += weights[i];
    }
    const double half = 0.5 * static_cast<double>(train.size());
    for (std::size_t i = 0; i < train.size(); ++i)
      weights[i] *= half / total[has_failed(table.rows[train[i]], failure) ? 1 : 0];
    estimator = LinearFit::logistic(features, share, {train, weights});
  }
  std::vector<double> scores = estimator.predict(features);
  for (double& s : scores) s = -s;  // log odds of the uncertainty
  return scores;
}

}  // namespace

extern const Predictor balanced_predictor;
const Predictor balanced_predictor = {
    .name = "balanced",
    .title = "balanced true class probability",
    .summary =
        "an estimator of the probability the low-bit model gives to the right token, "
        "failures and successes weighing the same",
    .score = score};

}  // namespace checkbit
