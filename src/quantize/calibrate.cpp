#include "quantize/calibrate.h"

#include <algorithm>
#include <cmath>

#include "base/progress.h"
#include "base/random.h"
#include "score/divergence.h"

namespace checkbit {
namespace {

/// Noise that is large against rounding and small enough for divergence to grow in proportion.
constexpr double kNoiseVariance = 0.01;
constexpr std::size_t kMinTokens = 16;

bool is_use(const Step& step) {
  return step.kind == StepKind::linear || step.kind == StepKind::embed;
}

struct UseKey {
  Role role;
  std::int64_t layer;
  StepKind kind;
  auto operator<=>(const UseKey&) const = default;
};

UseKey key_of(const StepView& view) {
  return {view.step.weight, std::max<std::int64_t>(view.layer, 0), view.step.kind};
}

/// Sums of squares of inputs and outputs.
class EnergyObserver : public StepObserver {
 public:
  void after(const StepView& view) override {
    if (!is_use(view.step)) return;
    Sums& s = sums[key_of(view)];
    if (view.step.kind == StepKind::linear)
      s.columns.resize(static_cast<std::size_t>(view.in_size));
    for (std::int64_t t = 0; t < view.n_tokens; ++t) {
      const float* x = view.in == nullptr ? nullptr : view.in + t * view.in_stride;
      for (std::size_t c = 0; c < s.columns.size(); ++c)
        s.columns[c] += double{x[c]} * double{x[c]};
      const float* y = view.out + t * view.out_stride;
      for (std::int64_t i = 0; i < view.out_size; ++i) s.output += double{y[i]} * double{y[i]};
    }
    s.tokens += view.n_tokens;
    s.outputs += view.n_tokens * view.out_size;
  }

  struct Sums {
    std::vector<double> columns;
    double output = 0;
    std::int64_t tokens = 0;
    std::int64_t outputs = 0;
  };
  std::map<UseKey, Sums> sums;
};

/// Adds noise to the output of one use.
class NoiseObserver : public StepObserver {
 public:
  NoiseObserver(UseKey target, double variance)
      : target_(target), amplitude_(std::sqrt(12.0 * variance)) {}
  void after(const StepView& view) override {
    if (!is_use(view.step) || key_of(view) != target_) return;
    Random random(1, static_cast<std::uint64_t>(target_.layer));
    for (std::int64_t t = 0; t < view.n_tokens; ++t) {
      float* y = view.out + t * view.out_stride;
      // Uniform noise: mean 0 and variance amplitude^2 / 12. What follows mixes it to a normal one.
      for (std::int64_t i = 0; i < view.out_size; ++i) {
        y[i] += static_cast<float>(amplitude_) * (random.uniform_float() - 0.5f);
      }
    }
  }

 private:
  UseKey target_;
  double amplitude_;
};

Result<std::vector<float>> probe(Session& session, std::span<const TokenId> tokens) {
  std::vector<float> rows;
  session.cache().truncate(0);
  CB_TRY_STATUS(
      session.evaluate(tokens, Logits::all, [&](std::size_t, std::span<const float> row) -> Status {
        rows.insert(rows.end(), row.begin(), row.end());
        return {};
      }));
  session.cache().truncate(0);
  return rows;
}

double mean_divergence(const std::vector<float>& reference, const std::vector<float>& noisy,
                       std::size_t vocabulary) {
  double sum = 0;
  const std::size_t n = reference.size() / vocabulary;
  for (std::size_t t = 0; t < n; ++t) {
    const std::span<const float> a(reference.data() + t * vocabulary, vocabulary);
    const std::span<const float> b(noisy.data() + t * vocabulary, vocabulary);
    sum += compare_rows(a, b).kl_divergence;
  }
  return sum / static_cast<double>(n);
}

/// Clears observers on every way out.
class Observing {
 public:
  Observing(Executor& executor, StepObserver& observer) : executor_(executor) {
    executor_.add_observer(&observer);
  }
  ~Observing() { executor_.clear_observers(); }
  Observing(const Observing&) = delete;
  Observing& operator=(const Observing&) = delete;

 private:
  Executor& executor_;
};

}  // namespace

std::vector<float> column_importance(std::span<const TensorUse> uses) {
  constexpr double kSmoothing = 0.1;  // of the mean energy
  const auto product =
      std::ranges::find_if(uses, [](const TensorUse& use) { return !use.column_energy.empty(); });
  if (product == uses.end()) return {};
  double mean = 0;
  for (const double energy : product->column_energy) mean += energy;
  mean /= static_cast<double>(product->column_energy.size());
  std::vector<float> importance;
  for (const double energy : product->column_energy)
    importance.push_back(static_cast<float>(energy + kSmoothing * mean));
  return importance;
}

Result<Calibration> calibrate(Session& session, std::span<const TokenId> tokens,
                              const CalibrateOptions& options) {
  if (tokens.size() < kMinTokens) {
    return fail(ErrorKind::budget, "the calibration text has {} tokens, at least {} are needed",
                tokens.size(), kMinTokens);
  }
  const auto context = static_cast<std::size_t>(session.context_tokens());
  const auto statistics =
      tokens.first(std::min({tokens.size(), options.statistics_tokens, context}));
  const auto probed = tokens.first(std::min(statistics.size(), options.probe_tokens));
  EnergyObserver energy;
  {
    const Observing observing(session.executor(), energy);
    CB_TRY(auto ignored, probe(session, statistics));
    static_cast<void>(ignored);
  }
  CB_TRY(const std::vector<float> reference, probe(session, probed));
  const auto vocabulary = static_cast<std::size_t>(session.model().hyperparameters().vocabulary);
  Calibration calibration;
  calibration.tokens = statistics.size();
  Progress progress("measuring sensitivity", energy.sums.size(), "uses");
  for (const auto& [key, sums] : energy.sums) {
    if (cancel_requested()) return cancelled_error();
    TensorUse use;
    use.output_energy = sums.output / static_cast<double>(sums.outputs);
    for (const double c : sums.columns)
      use.column_energy.push_back(c / static_cast<double>(sums.tokens));
    NoiseObserver noise(key, kNoiseVariance * use.output_energy);
    const Observing observing(session.executor(), noise);
    CB_TRY(const std::vector<float> noisy, probe(session, probed));
    use.sensitivity = mean_divergence(reference, noisy, vocabulary) / kNoiseVariance;
    const PackedMatrix* matrix = session.model().matrix(key.role, key.layer);
    calibration.uses[matrix->name()].push_back(std::move(use));
    progress.advance();
  }
  return calibration;
}

}  // namespace checkbit
