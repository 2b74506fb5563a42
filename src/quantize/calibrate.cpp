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
constexpr std::size_t kFewestProbes = 2;  ///< of a pass: a window without noise and with it
constexpr std::size_t kMostProbes = 10;   ///< more no longer make it faster

bool is_use(const Step& step) {
  return step.kind == StepKind::linear || step.kind == StepKind::embed;
}

Use use_of(const StepView& view) {
  return {view.step.weight, std::max<std::int64_t>(view.layer, 0), view.step.kind};
}

/// Sums of squares of inputs and outputs.
class EnergyObserver : public StepObserver {
 public:
  void after(const StepView& view) override {
    if (!is_use(view.step)) return;
    Sums& s = sums[use_of(view)];
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
  std::map<Use, Sums> sums;
};

/// Uniform noise: mean 0 and variance amplitude^2 / 12. What follows mixes it to a normal one.
void add_noise(const Use& use, double variance, std::uint64_t seed, const StepView& view,
               std::int64_t first, std::int64_t rows) {
  const auto amplitude = static_cast<float>(std::sqrt(12.0 * variance));
  // A stream for each use: noise put into several at once must be independent.
  Random random(seed, static_cast<std::uint64_t>(use.layer * (kRoleCount + 1) * 16 +
                                                 static_cast<int>(use.role) * 16 +
                                                 static_cast<int>(use.kind)));
  for (std::int64_t t = first; t < first + rows; ++t) {
    float* y = view.out + t * view.out_stride;
    for (std::int64_t i = 0; i < view.out_size; ++i)
      y[i] += amplitude * (random.uniform_float() - 0.5f);
  }
}

/// Adds each probe's noise to its own rows: a pass holds the probes' sequences one after another.
class NoiseObserver : public StepObserver {
 public:
  explicit NoiseObserver(std::span<const NoisyText> probes) : probes_(probes) {}
  void after(const StepView& view) override {
    if (!is_use(view.step)) return;
    std::int64_t first = 0;
    for (const NoisyText& probe : probes_) {
      const auto rows = static_cast<std::int64_t>(probe.text.size());
      const auto noise = probe.noise.find(use_of(view));
      if (noise != probe.noise.end())
        add_noise(noise->first, noise->second, probe.seed, view, first, rows);
      first += rows;
    }
  }

 private:
  std::span<const NoisyText> probes_;
};

std::vector<TensorUse> uses_of(const EnergyObserver& energy) {
  std::vector<TensorUse> uses;
  for (const auto& [use, sums] : energy.sums) {
    TensorUse entry{.use = use,
                    .column_energy = {},
                    .output_energy = sums.output / static_cast<double>(sums.outputs)};
    for (const double c : sums.columns)
      entry.column_energy.push_back(c / static_cast<double>(sums.tokens));
    uses.push_back(std::move(entry));
  }
  return uses;
}

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

Result<Calibrator> Calibrator::create(const Model& model, const Kernels& kernels, ThreadPool& pool,
                                      std::span<const std::int32_t> text,
                                      const CalibrateOptions& options) {
  if (text.size() < kMinTokens) {
    return fail(ErrorKind::budget, "the calibration text has {} tokens, at least {} are needed",
                text.size(), kMinTokens);
  }
  const Hyperparameters& h = model.hyperparameters();
  const auto context = static_cast<std::size_t>(h.context_length);
  const auto statistics = text.first(std::min({text.size(), options.statistics_tokens, context}));
  const auto probed = text.first(std::min(statistics.size(), options.probe_tokens));
  const std::size_t row_bytes = static_cast<std::size_t>(h.vocabulary) * sizeof(float);
  const std::size_t probes =
      std::clamp(options.logits_bytes / (row_bytes * probed.size()), kFewestProbes, kMostProbes);
  const auto batch = static_cast<std::int64_t>(probes * probed.size());
  CB_TRY(Executor executor, Executor::create(model, kernels, pool, batch, batch));
  Calibrator calibrator(model, pool, std::move(executor));
  calibrator.statistics_ = statistics;
  calibrator.probed_ = probed;
  for (std::size_t p = 0; p < probes; ++p) {
    CB_TRY(KvCache cache, KvCache::create(h, static_cast<std::int64_t>(probed.size())));
    calibrator.sequences_.push_back(std::move(cache));
  }
  return calibrator;
}

Status Calibrator::read_statistics(StepObserver& observer) {
  const Observing observing(executor_, &observer);
  CB_TRY(KvCache cache,
         KvCache::create(model_->hyperparameters(), static_cast<std::int64_t>(statistics_.size())));
  const auto pass = static_cast<std::size_t>(executor_.max_batch());
  std::vector<BatchToken> batch;
  for (std::size_t at = 0; at < statistics_.size(); at += pass) {
    if (cancel_requested()) return cancelled_error();
    batch.clear();
    for (const std::int32_t token :
         statistics_.subspan(at, std::min(pass, statistics_.size() - at)))
      batch.push_back({&cache, token, true});
    CB_TRY(const LogitsView ignored, executor_.evaluate(batch));
    static_cast<void>(ignored);
  }
  return {};
}

/// Rows of logits: those of probe p begin at p * its tokens. At most sequences_.size() probes.
Result<LogitsView> Calibrator::evaluate(std::span<const NoisyText> probes) {
  NoiseObserver noise(probes);
  const Observing observing(executor_, &noise);
  std::vector<BatchToken> batch;
  for (std::size_t p = 0; p < probes.size(); ++p) {
    sequences_[p].truncate(0);
    for (const std::int32_t token : probes[p].text) batch.push_back({&sequences_[p], token, true});
  }
  return executor_.evaluate(batch);
}

Status Calibrator::read_reference() {
  if (!reference_.empty()) return {};
  const NoisyText quiet{.text = probed_, .noise = {}};
  CB_TRY(const LogitsView logits, evaluate({&quiet, 1}));
  for (std::int64_t r = 0; r < logits.rows; ++r)
    reference_.insert(reference_.end(), logits.row(r).begin(), logits.row(r).end());
  return {};
}

/// Means over the tokens of `count` stretches; `rows(i, t)` are the two rows of token t of one.
std::vector<double> Calibrator::mean_divergences(
    std::size_t count, const std::function<RowPair(std::size_t, std::size_t)>& rows) {
  const std::size_t tokens = probed_.size();
  std::vector<double> of_row(count * tokens);
  pool_->for_ranges(
      static_cast<std::int64_t>(of_row.size()), [&](std::int64_t begin, std::int64_t end) {
        for (auto r = static_cast<std::size_t>(begin); r < static_cast<std::size_t>(end); ++r) {
          const RowPair pair = rows(r / tokens, r % tokens);
          of_row[r] = compare_rows(pair.reference, pair.other).kl_divergence;
        }
      });
  std::vector<double> means(count, 0.0);
  for (std::size_t r = 0; r < of_row.size(); ++r)
    means[r / tokens] += of_row[r] / static_cast<double>(tokens);
  return means;
}

/// Of the start of the text. At most sequences_.size() probes.
Result<std::vector<double>> Calibrator::divergences(std::span<const NoisyText> probes) {
  CB_TRY_STATUS(read_reference());
  CB_TRY(const LogitsView logits, evaluate(probes));
  const std::size_t tokens = probed_.size();
  const auto vocabulary = static_cast<std::size_t>(logits.vocabulary);
  return mean_divergences(probes.size(), [&](std::size_t p, std::size_t t) {
    return RowPair{.reference = std::span(reference_).subspan(t * vocabulary, vocabulary),
                   .other = logits.row(static_cast<std::int64_t>(p * tokens + t))};
  });
}

Result<double> Calibrator::divergence(const UseNoise& noise) {
  const std::size_t tokens = probed_.size();
  const std::size_t windows = statistics_.size() / tokens;
  const std::size_t windows_of_pass = sequences_.size() / 2;
  double sum = 0;
  for (std::size_t at = 0; at < windows; at += windows_of_pass) {
    if (cancel_requested()) return cancelled_error();
    const std::size_t count = std::min(windows_of_pass, windows - at);
    std::vector<NoisyText> probes;  // each window without noise, then with it
    for (std::size_t w = at; w < at + count; ++w) {
      const std::span<const std::int32_t> text = statistics_.subspan(w * tokens, tokens);
      probes.push_back({.text = text, .noise = {}});
      probes.push_back({.text = text, .noise = noise, .seed = w + 1});
    }
    CB_TRY(const LogitsView logits, evaluate(probes));
    const auto row = [&](std::size_t probe, std::size_t t) {
      return logits.row(static_cast<std::int64_t>(probe * tokens + t));
    };
    for (const double mean : mean_divergences(count, [&](std::size_t w, std::size_t t) {
           return RowPair{.reference = row(2 * w, t), .other = row(2 * w + 1, t)};
         }))
      sum += mean;
  }
  return sum / static_cast<double>(windows);
}

Result<Calibration> Calibrator::measure() {
  EnergyObserver energy;
  CB_TRY_STATUS(read_statistics(energy));
  std::vector<TensorUse> uses = uses_of(energy);
  Progress progress("measuring sensitivity", uses.size(), "uses");
  for (std::size_t at = 0; at < uses.size();) {
    if (cancel_requested()) return cancelled_error();
    const std::size_t count = std::min(sequences_.size(), uses.size() - at);
    std::vector<NoisyText> probes;
    for (std::size_t i = at; i < at + count; ++i)
      probes.push_back(
          {.text = probed_, .noise = {{uses[i].use, kNoiseVariance * uses[i].output_energy}}});
    CB_TRY(const std::vector<double> means, divergences(probes));
    for (std::size_t i = 0; i < count; ++i) uses[at + i].sensitivity = means[i] / kNoiseVariance;
    at += count;
    progress.advance(count);
  }
  Calibration calibration;
  calibration.tokens = statistics_.size();
  for (TensorUse& use : uses) {
    const std::string& name = model_->matrix(use.use.role, use.use.layer)->name();
    calibration.uses[name].push_back(std::move(use));
  }
  return calibration;
}

}  // namespace checkbit
