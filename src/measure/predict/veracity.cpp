// Veracity of the low-bit model's losses: whether a loss is what one expects of a token like this.
// It reads that loss, so it detects failures and does not foretell them; a loss lower than expected
// counts against a failure.

#include "measure/predict/veracity.h"

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "measure/predict/predictor.h"

namespace checkbit {
namespace {

/// `rows` in a seeded random order.
std::vector<std::size_t> shuffled(std::span<const std::size_t> rows, std::uint64_t seed) {
  std::vector<std::size_t> result(rows.begin(), rows.end());
  Random random(seed);
  for (std::size_t i = result.size(); i > 1; --i) std::swap(result[i - 1], result[random.below(i)]);
  return result;
}

/// Predictions of every row, those of `rows` by models that were not fitted on them.
std::vector<double> predict_out_of_fold(const Design& features, std::span<const double> numbers,
                                        std::span<const std::size_t> rows,
                                        const VeracityOptions& options) {
  std::vector<double> predicted = LinearFit::ridge(features, numbers, {rows, {}}).predict(features);
  const std::vector<std::size_t> order = shuffled(rows, options.seed);
  for (int fold = 0; fold < options.folds; ++fold) {
    std::vector<std::size_t> rest;
    std::vector<std::size_t> held;
    for (std::size_t i = 0; i < order.size(); ++i)
      (static_cast<int>(i % static_cast<std::size_t>(options.folds)) == fold ? held : rest)
          .push_back(order[i]);
    if (rest.empty()) continue;
    const LinearFit fit = LinearFit::ridge(features, numbers, {rest, {}});
    for (const std::size_t r : held) predicted[r] = fit(features.row(r));
  }
  return predicted;
}

/// How far models fitted on redraws of `rows` disagree on each row.
std::vector<double> disagreement(const Design& features, std::span<const double> numbers,
                                 std::span<const std::size_t> rows,
                                 const VeracityOptions& options) {
  std::vector<double> sum(features.rows(), 0);
  std::vector<double> squares(features.rows(), 0);
  std::vector<std::size_t> redraw(rows.size());
  for (int draw = 0; draw < options.redraws; ++draw) {
    Random random(options.seed, static_cast<std::uint64_t>(draw) + 1);
    for (std::size_t& r : redraw) r = rows[random.below(rows.size())];
    const std::vector<double> predicted =
        LinearFit::ridge(features, numbers, {redraw, {}}).predict(features);
    for (std::size_t r = 0; r < predicted.size(); ++r) {
      sum[r] += predicted[r];
      squares[r] += predicted[r] * predicted[r];
    }
  }
  const double n = options.redraws;
  for (std::size_t r = 0; r < sum.size(); ++r)
    sum[r] = std::sqrt(std::max(0.0, squares[r] / n - (sum[r] / n) * (sum[r] / n)));
  return sum;
}

double median_error(std::span<const double> numbers, std::span<const double> predicted,
                    std::span<const std::size_t> rows) {
  std::vector<double> sizes;
  for (const std::size_t r : rows) sizes.push_back(std::abs(numbers[r] - predicted[r]));
  const auto middle = sizes.begin() + static_cast<std::ptrdiff_t>(sizes.size() / 2);
  std::ranges::nth_element(sizes, middle);
  return *middle;
}

std::vector<double> score(const TokenTable& table, std::span<const std::size_t> train, Failure) {
  const Design known = reference_features(table);
  Design features(known.columns() + 1);
  std::vector<double> losses;
  for (std::size_t r = 0; r < table.rows.size(); ++r) {
    std::vector<double> row(known.row(r).begin(), known.row(r).end());
    row.push_back(static_cast<double>(table.rows[r].reference_loss));
    features.add(row);
    losses.push_back(static_cast<double>(table.rows[r].loss));
  }
  const Design wide = features.quadratic();
  const VeracityScores doubted = veracity(wide, losses, train);
  std::vector<double> scores;
  for (std::size_t r = 0; r < losses.size(); ++r)  // only a loss that is too high is a failure
    scores.push_back(std::copysign(1 - doubted.scores[r], doubted.residuals[r]));
  return scores;
}

}  // namespace

VeracityScores veracity(const Design& features, std::span<const double> numbers,
                        std::span<const std::size_t> train, const VeracityOptions& options) {
  CB_CHECK(numbers.size() == features.rows());
  CB_CHECK(train.size() >= static_cast<std::size_t>(options.folds));
  const std::vector<double> predicted = predict_out_of_fold(features, numbers, train, options);
  const std::vector<double> epistemic = disagreement(features, numbers, train, options);
  VeracityScores result;
  std::vector<double> sizes;
  double mean_size = 0;
  for (std::size_t r = 0; r < numbers.size(); ++r) {
    result.residuals.push_back(numbers[r] - predicted[r]);
    sizes.push_back(std::abs(result.residuals.back()));
  }
  for (const std::size_t r : train) mean_size += sizes[r] / static_cast<double>(train.size());
  const LinearFit scatter = LinearFit::ridge(features, sizes, {train, {}});
  const double least = std::max(1e-3 * mean_size, 1e-12);  // a regression may go below zero
  for (std::size_t r = 0; r < numbers.size(); ++r) {
    const double aleatoric = std::max(scatter(features.row(r)), least);
    result.scores.push_back(std::exp(-sizes[r] / (epistemic[r] + aleatoric)));
  }
  return result;
}

double error_share(const Design& features, std::span<const double> numbers,
                   std::span<const std::size_t> rows, const VeracityOptions& options) {
  const std::vector<double> scores = veracity(features, numbers, rows, options).scores;
  std::vector<std::size_t> order(rows.begin(), rows.end());
  std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
    return scores[a] != scores[b] ? scores[a] < scores[b] : a < b;
  });
  constexpr double kShares[] = {0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2};
  constexpr double kAsGood = 1.02;
  std::vector<double> errors;
  for (const double share : kShares) {
    const auto dropped = static_cast<std::size_t>(share * static_cast<double>(order.size()));
    const auto kept = std::span<const std::size_t>(order).subspan(dropped);
    errors.push_back(
        median_error(numbers, predict_out_of_fold(features, numbers, kept, options), rows));
  }
  const double best = *std::ranges::min_element(errors);
  for (std::size_t i = 0; i < errors.size(); ++i)
    if (errors[i] <= kAsGood * best) return kShares[i];
  return 0;
}

extern const Predictor veracity_predictor;
const Predictor veracity_predictor = {
    .name = "veracity",
    .title = "veracity of the low-bit loss",
    .summary = "after the fact: whether the low-bit model's loss is as expected of such a token",
    .reads_model = true,
    .score = score};

}  // namespace checkbit
