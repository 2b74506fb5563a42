// The plain baseline: an uncertain reference is likelier to be changed.

#include "measure/predict/predictor.h"

namespace checkbit {
namespace {

std::vector<double> score(const TokenTable& table, std::span<const std::size_t>, Failure) {
  std::vector<double> scores;
  scores.reserve(table.rows.size());
  for (const TokenRow& row : table.rows) scores.push_back(static_cast<double>(row.entropy));
  return scores;
}

}  // namespace

extern const Predictor entropy_predictor;
const Predictor entropy_predictor = {
    .name = "entropy",
    .title = "entropy of the reference",
    .summary = "the plain baseline: how uncertain the reference is about the next token",
    .score = score};

}  // namespace checkbit
