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
constexpr std::size_t kFewestProbes = 2;  ///< of a pass: one without noise and one with it
constexpr std::size_t kMostProbes = 10;   ///< more no longer make it faster

bool is_use(const Step& step) {
  return step.kind == StepKind::linear || step.kind == StepKind::embed;
}

Use use_of(const StepView& view) {
  return {view.step.weight, std::max<std::int64_t>(view.layer, 0), view.step.kind};
}

double mean_square(const float* x, std::int64_t n) {
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += double{x[i]} * double{x[i]};
  return sum / static_cast<double>(n);
}

/// The mean square of a token's input, by which its rounding errors grow: a few tokens may be
/// hundreds of times larger than the rest and must not speak for them. Tables have no input.
double input_energy(const StepView& view, std::int64_t token) {
  if (view.step.kind != StepKind::linear) return 1;
  return mean_square(view.in + token * view.in_stride, view.in_size);
}

/// Squares of inputs and outputs, each token's divided by its input energy.
class EnergyObserver : public StepObserver {
 public:
  void after(const StepView& view) override {
    if (!is_use(view.step)) return;
    Sums& s = sums[use_of(view)];
    if (view.step.kind == StepKind::linear)
      s.columns.resize(static_cast<std::size_t>(view.in_size));
    for (std::int64_t t = 0; t < view.n_tokens; ++t) {
      const double energy = input_energy(view, t);
      if (!(energy > 0)) continue;
      const float* x = view.in == nullptr ? nullptr : view.in + t * view.in_stride;
      for (std::size_t c = 0; c < s.columns.size(); ++c)
        s.columns[c] += double{x[c]} * double{x[c]} / energy;
      s.output += mean_square(view.out + t * view.out_stride, view.out_size) / energy;
    }
    s.tokens += view.n_tokens;
  }

  struct Sums {
    std::vector<double> columns;
    double output = 0;
    std::int64_t tokens = 0;
  };
  std::map<Use, Sums> sums;
};

/// Uniform noise: mean 0 and variance amplitude^2 / 12. What follows mixes it to a normal one.
/// Row `first` of the view is the token at `position` of its text.
void add_noise(const Use& use, double variance, std::size_t position, const StepView& view,
               std::int64_t first, std::int64_t rows) {
  // A stream for each use and token: noise put into several at once must be independent.
  const auto stream =
      static_cast<std::uint64_t>(use.layer * (kRoleCount + 1) * 16 +
                                 static_cast<int>(use.role) * 16 + static_cast<int>(use.kind));
  for (std::int64_t t = first; t < first + rows; ++t) {
    Random random(++position, stream);
    const auto amplitude = static_cast<float>(std::sqrt(12.0 * variance * input_energy(view, t)));
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
        add_noise(noise->first, noise->second, probe.position, view, first, rows);
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
                    .output_energy = sums.output / static_cast<double>(sums.tokens)};
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
  calibrator.unscored_ = std::min(options.unscored_tokens, statistics.size() / 2);
  for (std::size_t p = 0; p < probes; ++p) {
    // The first two read the whole text for divergence().
    const std::size_t tokens = p < 2 ? statistics.size() : probed.size();
    CB_TRY(KvCache cache, KvCache::create(h, static_cast<std::int64_t>(tokens)));
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

/// Rows of logits: those of probe p begin at p * its tokens. Sequence p goes on at its position.
Result<LogitsView> Calibrator::evaluate(std::span<const NoisyText> probes) {
  NoiseObserver noise(probes);
  const Observing observing(executor_, &noise);
  std::vector<BatchToken> batch;
  for (std::size_t p = 0; p < probes.size(); ++p) {
    sequences_[p].truncate(static_cast<std::int64_t>(probes[p].position));
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

/// Of `count` pairs of rows.
std::vector<double> Calibrator::row_divergences(std::size_t count,
                                                const std::function<RowPair(std::size_t)>& rows) {
  std::vector<double> divergences(count);
  pool_->for_ranges(static_cast<std::int64_t>(count), [&](std::int64_t begin, std::int64_t end) {
    for (auto r = static_cast<std::size_t>(begin); r < static_cast<std::size_t>(end); ++r) {
      const RowPair pair = rows(r);
      divergences[r] = compare_rows(pair.reference, pair.other).kl_divergence;
    }
  });
  return divergences;
}

/// Of the start of the text. At most sequences_.size() probes.
Result<std::vector<double>> Calibrator::divergences(std::span<const NoisyText> probes) {
  CB_TRY_STATUS(read_reference());
  CB_TRY(const LogitsView logits, evaluate(probes));
  const std::size_t tokens = probed_.size();
  const auto vocabulary = static_cast<std::size_t>(logits.vocabulary);
  const std::vector<double> of_row = row_divergences(probes.size() * tokens, [&](std::size_t r) {
    return RowPair{.reference = std::span(reference_).subspan(r % tokens * vocabulary, vocabulary),
                   .other = logits.row(static_cast<std::int64_t>(r))};
  });
  std::vector<double> means(probes.size(), 0.0);
  for (std::size_t r = 0; r < of_row.size(); ++r)
    means[r / tokens] += of_row[r] / static_cast<double>(tokens);
  return means;
}

Result<double> Calibrator::divergence(const UseNoise& noise) {
  const std::size_t pass = static_cast<std::size_t>(executor_.max_batch()) / 2;
  double sum = 0;
  for (std::size_t at = 0; at < statistics_.size(); at += pass) {
    if (cancel_requested()) return cancelled_error();
    const auto text = statistics_.subspan(at, std::min(pass, statistics_.size() - at));
    const std::vector<NoisyText> pair = {{.text = text, .noise = {}, .position = at},
                                         {.text = text, .noise = noise, .position = at}};
    CB_TRY(const LogitsView logits, evaluate(pair));
    const std::vector<double> of_row = row_divergences(text.size(), [&](std::size_t r) {
      return RowPair{.reference = logits.row(static_cast<std::int64_t>(r)),
                     .other = logits.row(static_cast<std::int64_t>(text.size() + r))};
    });
    for (std::size_t r = at < unscored_ ? std::min(unscored_ - at, text.size()) : 0;
         r < text.size(); ++r)
      sum += of_row[r];
  }
  return sum / static_cast<double>(statistics_.size() - unscored_);
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
  return by_tensor(std::move(uses));
}

Result<Calibration> Calibrator::energies() {
  EnergyObserver energy;
  CB_TRY_STATUS(read_statistics(energy));
  return by_tensor(uses_of(energy));
}

Calibration Calibrator::by_tensor(std::vector<TensorUse> uses) const {
  Calibration calibration;
  calibration.tokens = statistics_.size();
  for (TensorUse& use : uses) {
    const std::string& name = model_->matrix(use.use.role, use.use.layer)->name();
    calibration.uses[name].push_back(std::move(use));
  }
  return calibration;
}

}  // namespace checkbit
