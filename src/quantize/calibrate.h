// What a model is sensitive to, measured on a short text.
//
// What: `measure` records, for every use of a weight, the mean energy of each input column and of
//   the output, each token's divided by the energy of its input; then it adds seeded noise of known
//   relative variance to one use's output at a time and measures the divergence of the logits:
//   divergence per unit of relative output variance is the use's sensitivity. A format's damage is
//   then sensitivity x (its output error variance / output energy), and damages add up while they
//   are small. `divergence` puts noise into many uses at once, over the whole text: what damages
//   come to together, also where they no longer add up.
// Units: divergence in nats per token.
// Cost: (uses + 1) x `probe_tokens` tokens, and twice `statistics_tokens` for `divergence`. Several
//   probes share one pass, each a sequence of its own, so that a model read from its map is read
//   seldom; what comes out does not depend on how many do. Memory: logits of one pass (about
//   `logits_bytes`) and of the reference.
// Errors: those of the executor; budget when the text is too short; cancelled.
// Threads: uses model and pool alone.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "arch/executor.h"

namespace checkbit {

/// A place where the model uses a weight: a product, or the look-up of rows (embedding).
struct Use {
  Role role = Role::none;
  std::int64_t layer = 0;
  StepKind kind = StepKind::linear;
  auto operator<=>(const Use&) const = default;
};

struct TensorUse {
  Use use;
  std::vector<double> column_energy;  ///< mean of x[c]^2 / mean(x^2); empty for a table
  double output_energy = 0;           ///< mean of y^2 / mean(x^2); of a table, of y^2
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

/// Noise in the output of uses: variance over the token's input energy; of a table, variance.
using UseNoise = std::map<Use, double>;

/// Tokens at `position` of a text, read with noise.
struct NoisyText {
  std::span<const std::int32_t> text;
  UseNoise noise;
  std::size_t position = 0;
};

struct CalibrateOptions {
  std::size_t statistics_tokens = 512;
  std::size_t probe_tokens = 48;
  /// At the start of the text, by `divergence`; at most half: tokens with little context diverge
  /// more than most that a user will see.
  std::size_t unscored_tokens = 128;
  std::size_t logits_bytes = 96u << 20;
};

class Calibrator {
 public:
  /// `model`, `kernels`, `pool` and `text` must outlive the calibrator.
  static Result<Calibrator> create(const Model& model, const Kernels& kernels, ThreadPool& pool,
                                   std::span<const std::int32_t> text,
                                   const CalibrateOptions& options = {});

  Result<Calibration> measure();
  /// Energies alone, in one pass; no sensitivities.
  Result<Calibration> energies();
  /// Of the logits with all this noise from those without, over the whole text but its start.
  Result<double> divergence(const UseNoise& noise);

 private:
  Calibrator(const Model& model, ThreadPool& pool, Executor executor)
      : model_(&model), pool_(&pool), executor_(std::move(executor)) {}
  struct RowPair {
    std::span<const float> reference, other;
  };
  Status read_statistics(StepObserver& observer);
  Result<std::vector<double>> divergences(std::span<const NoisyText> probes);
  Result<LogitsView> evaluate(std::span<const NoisyText> probes);
  std::vector<double> row_divergences(std::size_t count,
                                      const std::function<RowPair(std::size_t)>& rows);
  Status read_reference();
  Calibration by_tensor(std::vector<TensorUse> uses) const;

  const Model* model_;
  ThreadPool* pool_;
  Executor executor_;
  std::span<const std::int32_t> statistics_;
  std::span<const std::int32_t> probed_;  ///< the start of statistics_
  std::size_t unscored_ = 0;
  std::vector<KvCache> sequences_;  ///< one for each probe of a pass
  std::vector<float> reference_;    ///< [probed_][vocabulary]; empty until it is read
};

}  // namespace checkbit
