// What a model is sensitive to, measured on a short text.
//
// What: two passes over the text. The first records, for every matrix, the mean energy of each
// input
//   column and of the output. The second adds seeded noise of known relative variance to one
//   matrix's output at a time and measures the divergence of the logits: divergence per unit of
//   relative output variance is the matrix's sensitivity. A format's damage to a matrix is then
//   sensitivity x (its output error variance / output energy), and damages add up.
// Units: divergence in nats per token.
// Cost: (matrices + 1) forward passes over `probe_tokens`.
// Errors: those of Session::evaluate; budget when the text is too short; cancelled.
// Threads: uses the session alone; its sequence is left empty.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "run/session.h"

namespace checkbit {

/// One way a tensor is used: as a matrix in a product, or as a table of rows (embedding).
struct TensorUse {
  std::vector<double> column_energy;  ///< mean of x[c]^2; empty for a table
  double output_energy = 0;           ///< mean of y^2
  double sensitivity = 0;             ///< nats per unit of relative output variance
};

/// How much the rounding error of each column counts: its energy, smoothed so that no column of a
/// short text counts for nothing. Empty for a tensor that is only a table. Planning and writing
/// round with the same importance, so that what is predicted is what is written.
std::vector<float> column_importance(std::span<const TensorUse> uses);

struct Calibration {
  std::map<std::string, std::vector<TensorUse>> uses;  ///< by tensor name
  std::size_t tokens = 0;
};

struct CalibrateOptions {
  std::size_t statistics_tokens = 512;
  std::size_t probe_tokens = 48;
};

Result<Calibration> calibrate(Session& session, std::span<const TokenId> tokens,
                              const CalibrateOptions& options = {});

}  // namespace checkbit
