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
constexpr std::size_t kMostProbes = 10;  ///< of a pass: more no longer make it faster

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

/// Adds each probe's noise to its own rows: a pass holds the probes' sequences one after another.
class NoiseObserver : public StepObserver {
 public:
  explicit NoiseObserver(std::span<const UseNoise> probes) : probes_(probes) {}
  void after(const StepView& view) override {
    if (!is_use(view.step)) return;
    const std::int64_t rows = view.n_tokens / static_cast<std::int64_t>(probes_.size());
    for (std::size_t p = 0; p < probes_.size(); ++p) {
      const auto noise = probes_[p].find(use_of(view));
      if (noise == probes_[p].end()) continue;
      add(noise->first, noise->second, view, static_cast<std::int64_t>(p) * rows, rows);
    }
  }

 private:
  /// Uniform noise: mean 0 and variance amplitude^2 / 12. What follows mixes it to a normal one.
  static void add(const Use& use, double variance, const StepView& view, std::int64_t first,
                  std::int64_t rows) {
    const auto amplitude = static_cast<float>(std::sqrt(12.0 * variance));
    // A stream for each use: noise put into several at once must be independent.
    Random random(1, static_cast<std::uint64_t>(use.layer * (kRoleCount + 1) * 16 +
                                                static_cast<int>(use.role) * 16 +
                                                static_cast<int>(use.kind)));
    for (std::int64_t t = first; t < first + rows; ++t) {
      float* y = view.out + t * view.out_stride;
      for (std::int64_t i = 0; i < view.out_size; ++i)
        y[i] += amplitude * (random.uniform_float() - 0.5f);
    }
  }

  std::span<const UseNoise> probes_;
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
      std::clamp<std::size_t>(options.logits_bytes / (row_bytes * probed.size()), 1, kMostProbes);
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

/// Rows of logits: those of probe p begin at p * probed tokens.
Result<LogitsView> Calibrator::evaluate_probes(std::size_t count, StepObserver* observer) {
  const Observing observing(executor_, observer);
  std::vector<BatchToken> batch;
  for (KvCache& sequence : std::span(sequences_).first(count)) {
    sequence.truncate(0);
    for (const std::int32_t token : probed_) batch.push_back({&sequence, token, true});
  }
  return executor_.evaluate(batch);
}

Status Calibrator::read_reference() {
  if (!reference_.empty()) return {};
  CB_TRY(const LogitsView logits, evaluate_probes(1, nullptr));
  for (std::int64_t r = 0; r < logits.rows; ++r)
    reference_.insert(reference_.end(), logits.row(r).begin(), logits.row(r).end());
  return {};
}

/// At most sequences_.size() probes.
Result<std::vector<double>> Calibrator::divergences(std::span<const UseNoise> probes) {
  CB_TRY_STATUS(read_reference());
  NoiseObserver noise(probes);
  CB_TRY(const LogitsView logits, evaluate_probes(probes.size(), &noise));
  const auto tokens = static_cast<std::int64_t>(probed_.size());
  std::vector<double> of_row(static_cast<std::size_t>(logits.rows));
  pool_->for_ranges(logits.rows, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const std::span<const float> reference(reference_.data() + r % tokens * logits.vocabulary,
                                             logits.row(r).size());
      of_row[static_cast<std::size_t>(r)] = compare_rows(reference, logits.row(r)).kl_divergence;
    }
  });
  std::vector<double> means(probes.size(), 0.0);
  for (std::size_t r = 0; r < of_row.size(); ++r)
    means[r / probed_.size()] += of_row[r] / static_cast<double>(tokens);
  return means;
}

Result<double> Calibrator::divergence(const UseNoise& noise) {
  CB_TRY(const std::vector<double> means, divergences({&noise, 1}));
  return means[0];
}

Result<Calibration> Calibrator::measure() {
  EnergyObserver energy;
  CB_TRY_STATUS(read_statistics(energy));
  std::vector<TensorUse> uses = uses_of(energy);
  Progress progress("measuring sensitivity", uses.size(), "uses");
  for (std::size_t at = 0; at < uses.size();) {
    if (cancel_requested()) return cancelled_error();
    const std::size_t count = std::min(sequences_.size(), uses.size() - at);
    std::vector<UseNoise> probes;
    for (std::size_t i = at; i < at + count; ++i)
      probes.push_back({{uses[i].use, kNoiseVariance * uses[i].output_energy}});
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
