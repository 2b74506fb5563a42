#include "quantize/round_model.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <deque>

#include "base/progress.h"
#include "quantize/layer_walk.h"

namespace checkbit {
namespace {

/// Moments of one group's input while the windows go by.
struct Gathered {
  SecondMoments moments;
  std::vector<double> mean_reference, mean_seen;  ///< [columns] sums over tokens
  std::vector<std::vector<float>> drifts;         ///< per block [width][width]; empty without drift
};

class Gatherer {
 public:
  Gatherer(const RoundModelOptions& options, ThreadPool& pool)
      : drifts_(options.method->follows_drift),
        copies_(moment_copies(*options.method)),
        memory_bytes_(options.memory_bytes),
        pool_(pool) {}

  /// `reference` is what the source's matrix reads, `seen` what the quantized model's does.
  Status add(Role role, const CaughtInput& reference, const CaughtInput& seen) {
    Gathered& to = by_role[role];
    if (to.moments.columns == 0) open(to, seen.size);
    const auto n = static_cast<std::size_t>(seen.size);
    const std::size_t tokens = seen.values.size() / n;
    std::vector<float> scaled(seen.values.size()), lost(drifts_ ? seen.values.size() : 0);
    for (std::size_t t = 0; t < tokens; ++t) {
      double energy = 0;
      for (std::size_t c = 0; c < n; ++c)
        energy += double{reference.values[t * n + c]} * double{reference.values[t * n + c]};
      if (!std::isfinite(energy))
        return fail(ErrorKind::corrupt, "the input of {} is not finite; the model is damaged",
                    role_info(role).name);
      const auto factor =
          static_cast<float>(energy > 0 ? std::sqrt(static_cast<double>(n) / energy) : 0);
      for (std::size_t i = t * n; i < (t + 1) * n; ++i) {
        to.mean_reference[i - t * n] += reference.values[i];
        to.mean_seen[i - t * n] += seen.values[i];
        scaled[i] = factor * seen.values[i];
        if (drifts_) lost[i] = factor * (reference.values[i] - seen.values[i]);
      }
    }
    to.moments.tokens += static_cast<double>(tokens);
    for (std::int64_t b = 0; b < to.moments.blocks(); ++b) add_block(to, b, scaled, lost, tokens);
    return {};
  }

  std::map<Role, Gathered> by_role;

 private:
  void open(Gathered& to, std::int64_t columns) const {
    const std::int64_t block = moment_block(columns, copies_, memory_bytes_);
    to.moments.columns = columns;
    to.moments.block = block;
    to.mean_reference.assign(static_cast<std::size_t>(columns), 0);
    to.mean_seen = to.mean_reference;
    to.moments.values.assign(SecondMoments::floats(columns, block), 0.0f);
    for (std::int64_t b = 0; drifts_ && b < to.moments.blocks(); ++b) {
      const auto width = static_cast<std::size_t>(to.moments.width(b));
      to.drifts.emplace_back(width * width, 0.0f);
    }
  }

  void add_block(Gathered& to, std::int64_t b, const std::vector<float>& scaled,
                 const std::vector<float>& lost, std::size_t tokens) const {
    const std::int64_t n = to.moments.columns, width = to.moments.width(b);
    const auto depth = static_cast<std::int64_t>(tokens);
    const MatrixSpan x = {scaled.data() + to.moments.begin(b), n};
    add_moments(x, depth, to.moments.triangle(b), width, pool_);
    if (!drifts_) return;
    constexpr std::int64_t kBand = 96;
    float* drift = to.drifts[static_cast<std::size_t>(b)].data();
    std::atomic<std::int64_t> next{0};
    pool_.run([&](int, int) {
      for (std::int64_t first = kBand * next++; first < width; first = kBand * next++) {
        add_products({lost.data() + to.moments.begin(b) + first, n}, x, depth,
                     drift + first * width, width, std::min(kBand, width - first), width);
      }
    });
  }

  bool drifts_;
  std::uint64_t copies_;
  std::uint64_t memory_bytes_;
  ThreadPool& pool_;
};

class ModelRounder {
 public:
  ModelRounder(const ModelFile& file, const Plan& plan, const Kernels& kernels, ThreadPool& pool,
               std::span<const std::int32_t> text, const RoundModelOptions& options)
      : file_(file), plan_(plan), kernels_(kernels), pool_(pool), text_(text), options_(options) {}

  Result<RoundedModel> run();

 private:
  bool follows() const { return options_.method->follows_drift; }
  const TensorPlan* plan_of(Role role, std::int64_t layer) const;
  bool is_kept(const TensorPlan& tensor) const {
    return options_.journal != nullptr &&
           options_.journal->holds(tensor.source->info.name, tensor.file_bytes());
  }
  Status round_saved();
  Status tune_bias(Role role, Role bias, std::int64_t layer, const Gathered& gathered);
  Status tune_biases(const InputGroup& group, std::int64_t layer, const Gathered& gathered);
  Status walk_layers(LayerWalk& source, LayerWalk* quantized);
  Status gather(std::int64_t layer, LayerWalk& source, LayerWalk* quantized, Gatherer& to);
  Status round_group(const InputGroup& group, std::int64_t layer, Gathered gathered);
  Status round_tensor(const TensorPlan& tensor, std::span<const Metric> metrics,
                      const Gathered& gathered);
  std::int64_t layers() const { return reference_->hyperparameters().layers; }

  const ModelFile& file_;
  const Plan& plan_;
  const Kernels& kernels_;
  ThreadPool& pool_;
  std::span<const std::int32_t> text_;
  const RoundModelOptions& options_;
  std::optional<Model> reference_, rounded_;
  std::deque<ModelTensor> replaced_;  ///< what rounded_ reads
  RoundedModel result_;
  Progress* progress_ = nullptr;
};

/// The tensor's plan where it is to be rounded with moments; null else.
const TensorPlan* ModelRounder::plan_of(Role role, std::int64_t layer) const {
  const Role stored = role == Role::output && file_.find(role_info(Role::output).pattern) == nullptr
                          ? Role::token_embedding
                          : role;
  for (const TensorPlan& t : plan_.tensors) {
    if (t.role != stored || (role_info(stored).per_layer() && t.layer != layer)) continue;
    return t.format != t.source->info.format && takes_feedback(*t.format) ? &t : nullptr;
  }
  return nullptr;
}

Result<RoundedModel> ModelRounder::run() {
  if (options_.saved != nullptr) {
    CB_CHECK(!follows());
    CB_TRY_STATUS(round_saved());
    return std::move(result_);
  }
  const PackOptions mapped = {.repack = false};
  CB_TRY(reference_, Model::load(file_, mapped, pool_));
  CB_TRY(LayerWalk source,
         LayerWalk::create(*reference_, kernels_, pool_, text_, options_.window_tokens));
  Progress progress("rounding", plan_.elements(), "weights");
  progress_ = &progress;
  if (follows()) {
    CB_TRY(rounded_, Model::load(file_, mapped, pool_));
    CB_TRY(LayerWalk quantized,
           LayerWalk::create(*rounded_, kernels_, pool_, text_, options_.window_tokens));
    CB_TRY_STATUS(walk_layers(source, &quantized));
  } else {
    CB_TRY_STATUS(walk_layers(source, nullptr));
  }
  return std::move(result_);
}

Status ModelRounder::walk_layers(LayerWalk& source, LayerWalk* quantized) {
  for (std::int64_t layer = -1; layer <= layers(); ++layer) {
    Gatherer gatherer(options_, pool_);
    CB_TRY_STATUS(gather(layer, source, quantized, gatherer));
    if (layer < 0) continue;
    for (const InputGroup& group : input_groups(reference_->architecture(), layer == layers())) {
      const auto found = gatherer.by_role.find(group.leader);
      if (found == gatherer.by_role.end()) continue;
      if (options_.save != nullptr) CB_TRY_STATUS(options_.save->append(found->second.moments));
      CB_TRY_STATUS(round_group(group, layer, std::move(found->second)));
      gatherer.by_role.erase(found);
    }
    if (quantized == nullptr || layer == layers()) continue;
    CB_TRY_STATUS(quantized->renew());
    for (std::size_t w = 0; w < quantized->windows(); ++w)
      CB_TRY_STATUS(quantized->step(layer, w, true, nullptr));
  }
  return {};
}

/// Layer by layer as walk_layers, from moments that were measured before.
Status ModelRounder::round_saved() {
  Progress progress("rounding", plan_.elements(), "weights");
  progress_ = &progress;
  CB_TRY(const ModelConfig config, read_config(file_.metadata()));
  const std::int64_t count = config.hyperparameters.layers;
  for (std::int64_t layer = 0; layer <= count; ++layer) {
    for (const InputGroup& group : input_groups(*config.architecture, layer == count)) {
      if (cancel_requested()) return cancelled_error();
      Gathered gathered;
      CB_TRY(gathered.moments,
             options_.saved->read(role_info(group.leader).tensor_name(static_cast<int>(layer))));
      CB_TRY_STATUS(round_group(group, layer, std::move(gathered)));
    }
  }
  return {};
}

Status ModelRounder::gather(std::int64_t layer, LayerWalk& source, LayerWalk* quantized,
                            Gatherer& to) {
  for (std::size_t w = 0; w < source.windows(); ++w) {
    CaughtInputs reference, seen;
    CB_TRY_STATUS(source.step(layer, w, true, &reference));
    if (quantized != nullptr) CB_TRY_STATUS(quantized->step(layer, w, layer < 0, &seen));
    for (const auto& [role, input] : reference) {
      CB_TRY_STATUS(to.add(role, input, quantized == nullptr ? input : seen.at(role)));
    }
  }
  return {};
}

Status ModelRounder::round_group(const InputGroup& group, std::int64_t layer, Gathered gathered) {
  std::vector<const TensorPlan*> tensors;
  std::vector<const Format*> formats;
  for (const Role role : group.roles) {
    const TensorPlan* tensor = plan_of(role, layer);
    if (tensor == nullptr) continue;
    tensors.push_back(tensor);
    formats.push_back(tensor->format);
  }
  if (tensors.empty()) return {};
  const MetricOptions metric_options = {.damping = options_.rounding.damping,
                                        .energy_order = options_.rounding.energy_order,
                                        .groups = metric_groups(formats)};
  for (const double energy : gathered.moments.energies()) {
    ++result_.columns;
    if (!(energy > 0)) ++result_.silent_columns;
  }
  std::vector<Metric> metrics;
  const bool all_kept =
      std::ranges::all_of(tensors, [&](const TensorPlan* t) { return is_kept(*t); });
  for (std::int64_t b = 0; !all_kept && b < gathered.moments.blocks(); ++b) {
    auto metric = make_metric(gathered.moments, b, metric_options, pool_);
    if (!metric) {
      Error error = metric.error();
      error.message = fmt::format("tensor {}: {}", tensors[0]->source->info.name, error.message);
      return error;
    }
    metrics.push_back(*std::move(metric));
  }
  gathered.moments.values = {};  // the metrics have what is needed
  for (const TensorPlan* tensor : tensors) {
    CB_TRY_STATUS(round_tensor(*tensor, metrics, gathered));
    if (!rounded_ || !role_info(tensor->role).per_layer()) continue;
    std::vector<std::uint8_t>& bytes = result_.tensors[tensor->source->info.name];
    ModelTensor& stored = replaced_.emplace_back(*tensor->source);
    stored.info.format = tensor->format;
    stored.info.size_bytes = bytes.size();
    stored.bytes = bytes;
    CB_TRY_STATUS(rounded_->replace_matrix(tensor->role, tensor->layer, stored));
  }
  return options_.tune_biases && rounded_ ? tune_biases(group, layer, gathered) : Status{};
}

Status ModelRounder::tune_biases(const InputGroup& group, std::int64_t layer,
                                 const Gathered& gathered) {
  if (layer == layers()) return {};
  for (const Step& step : reference_->architecture().layer) {
    if (step.kind != StepKind::linear || step.bias == Role::none) continue;
    if (std::ranges::find(group.roles, step.weight) == group.roles.end()) continue;
    CB_TRY_STATUS(tune_bias(step.weight, step.bias, layer, gathered));
  }
  return {};
}

/// bias += mean over tokens of W x - V x', V being what W was rounded to and x' what it reads now.
Status ModelRounder::tune_bias(Role role, Role bias, std::int64_t layer, const Gathered& gathered) {
  const TensorPlan* tensor = plan_of(role, layer);
  const ModelTensor* source = file_.find(role_info(bias).tensor_name(static_cast<int>(layer)));
  if (tensor == nullptr || source == nullptr || source->info.format->name != "F32") return {};
  const GgufTensor& info = tensor->source->info;
  const std::vector<std::uint8_t>& encoded = result_.tensors.at(info.name);
  std::vector<float> values(source->info.elements()), before(info.columns()), after(before);
  std::memcpy(values.data(), source->bytes.data(), values.size() * sizeof(float));
  const std::size_t row_bytes = encoded.size() / values.size();
  for (std::size_t r = 0; r < values.size(); ++r) {
    info.format->decode(tensor->source->bytes.data() + r * info.row_bytes(),
                        before.size() / static_cast<std::size_t>(info.format->block_elements),
                        before.data());
    tensor->format->decode(encoded.data() + r * row_bytes,
                           after.size() / static_cast<std::size_t>(tensor->format->block_elements),
                           after.data());
    double change = 0;
    for (std::size_t c = 0; c < before.size(); ++c)
      change += before[c] * gathered.mean_reference[c] - after[c] * gathered.mean_seen[c];
    values[r] += static_cast<float>(change / gathered.moments.tokens);
  }
  rounded_->set_vector(bias, layer, values);
  std::vector<std::uint8_t>& out = result_.tensors[source->info.name];
  out.resize(values.size() * sizeof(float));
  std::memcpy(out.data(), values.data(), out.size());
  return {};
}

Status ModelRounder::round_tensor(const TensorPlan& tensor, std::span<const Metric> metrics,
                                  const Gathered& gathered) {
  const GgufTensor& info = tensor.source->info;
  const auto columns = static_cast<std::size_t>(info.columns());
  std::atomic<std::int64_t> bad_row{-1};
  const RoundingTask task = {
      .format = tensor.format,
      .rows = static_cast<std::int64_t>(info.rows()),
      .columns = static_cast<std::int64_t>(columns),
      .read_row =
          [&](std::int64_t row, float* out) {
            info.format->decode(
                tensor.source->bytes.data() + static_cast<std::uint64_t>(row) * info.row_bytes(),
                columns / static_cast<std::size_t>(info.format->block_elements), out);
            if (std::all_of(out, out + columns, [](float v) { return std::isfinite(v); })) return;
            bad_row = row;
            std::fill_n(out, columns, 0.0f);
          },
      .metrics = metrics,
      .drifts = gathered.drifts,
      .options = options_.rounding};
  std::vector<std::uint8_t>& out = result_.tensors[info.name];
  out.resize(tensor.file_bytes());
  if (is_kept(tensor)) {
    progress_->advance(info.elements());
    return options_.journal->read(info.name, out);
  }
  CB_TRY_STATUS(options_.method->round(task, pool_, out.data()));
  if (bad_row >= 0) {
    return fail(ErrorKind::corrupt,
                "{}: tensor {}: a weight in row {} is not finite; the source is damaged",
                file_.path(), info.name, bad_row.load());
  }
  if (options_.journal != nullptr) CB_TRY_STATUS(options_.journal->keep(info.name, out));
  file_.drop_pages(*tensor.source);
  progress_->advance(info.elements());
  return {};
}

}  // namespace

Status check_rounding_text(std::size_t tokens) {
  if (tokens >= kFewestTokens) return {};
  return fail(ErrorKind::invalid,
              "the calibration text has {} tokens; rounding with second moments needs {} at least, "
              "and some thousands to be good",
              tokens, kFewestTokens);
}

Result<RoundedModel> round_model(const ModelFile& file, const Plan& plan, const Kernels& kernels,
                                 ThreadPool& pool, std::span<const std::int32_t> text,
                                 const RoundModelOptions& options) {
  CB_CHECK(options.method != nullptr && options.method->uses_moments);
  if (options.saved == nullptr) CB_TRY_STATUS(check_rounding_text(text.size()));
  return ModelRounder(file, plan, kernels, pool, text, options).run();
}

}  // namespace checkbit
