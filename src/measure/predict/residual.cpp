// The size of the residual stream that enters the last layers, turned around: where it is small,
// normalisation magnifies what rounding has added to it.
//
// Reference: "Why Do Some Inputs Break Low-Bit LLM Quantization?", which finds the final error of
//   low-bit models and the residual magnitudes of the full-precision model negatively related in
//   the late layers.

#include "measure/predict/predictor.h"

namespace checkbit {
namespace {

std::vector<double> score(const TokenTable& table, std::span<const std::size_t>, Failure) {
  std::vector<double> scores;
  scores.reserve(table.rows.size());
  for (std::size_t r = 0; r < table.rows.size(); ++r) scores.push_back(-late_residual(table, r));
  return scores;
}

}  // namespace

extern const Predictor residual_predictor;
const Predictor residual_predictor = {
    .name = "residual",
    .title = "small residual stream in the last layers",
    .summary = "the smaller the stream that enters the last quarter of the layers, the likelier",
    .score = score};

}  // namespace checkbit
