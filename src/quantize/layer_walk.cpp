#include "quantize/layer_walk.h"

#include <algorithm>

#include "base/progress.h"

namespace checkbit {
namespace {

class InputCatcher : public StepObserver {
 public:
  InputCatcher(std::span<const InputGroup> groups, CaughtInputs& inputs)
      : groups_(groups), inputs_(inputs) {}

  void before(const StepView& view) override {
    if (view.step.kind != StepKind::linear) return;
    const bool leads = std::ranges::any_of(
        groups_, [&](const InputGroup& g) { return g.leader == view.step.weight; });
    if (!leads) return;
    CaughtInput& caught = inputs_[view.step.weight];
    caught.size = view.in_size;
    caught.values.resize(static_cast<std::size_t>(view.n_tokens * view.in_size));
    for (std::int64_t t = 0; t < view.n_tokens; ++t)
      std::copy_n(view.in + t * view.in_stride, view.in_size,
                  caught.values.data() + t * view.in_size);
  }

 private:
  std::span<const InputGroup> groups_;
  CaughtInputs& inputs_;
};

}  // namespace

std::vector<InputGroup> input_groups(const Architecture& architecture, bool epilogue) {
  std::vector<InputGroup> groups;
  const std::span<const Step> steps = epilogue ? architecture.epilogue : architecture.layer;
  for (std::size_t i = 0; i < steps.size();) {
    const std::size_t count = linear_group(steps, i);
    if (steps[i].kind == StepKind::linear) {
      InputGroup& group = groups.emplace_back(InputGroup{.leader = steps[i].weight, .roles = {}});
      for (const Step& step : steps.subspan(i, count)) group.roles.push_back(step.weight);
    }
    i += count;
  }
  return groups;
}

Result<LayerWalk> LayerWalk::create(const Model& model, const Kernels& kernels, ThreadPool& pool,
                                    std::span<const std::int32_t> text, std::int64_t window) {
  const Hyperparameters& h = model.hyperparameters();
  window = std::min({window, static_cast<std::int64_t>(text.size()), h.context_length});
  CB_TRY(KvCache cache, KvCache::create(h, window));
  CB_TRY(Executor executor, Executor::create(model, kernels, pool, window, 1));
  LayerWalk walk(model, kernels, pool, std::move(cache), std::move(executor));
  walk.text_ = text;
  walk.window_ = static_cast<std::size_t>(window);
  walk.hidden_.resize(text.size() * static_cast<std::size_t>(h.embedding));
  return walk;
}

Status LayerWalk::renew() {
  CB_TRY(executor_,
         Executor::create(*model_, *kernels_, *pool_, static_cast<std::int64_t>(window_), 1));
  return {};
}

Status LayerWalk::step(std::int64_t layer, std::size_t w, bool keep, CaughtInputs* inputs) {
  if (cancel_requested()) return cancelled_error();
  const auto tokens = text_.subspan(w * window_, std::min(window_, text_.size() - w * window_));
  const auto size = static_cast<std::size_t>(model_->hyperparameters().embedding);
  const auto kept = std::span(hidden_).subspan(w * window_ * size, tokens.size() * size);
  std::vector<float> copy;
  if (!keep) copy.assign(kept.begin(), kept.end());
  cache_.truncate(0);
  std::vector<BatchToken> batch;
  for (const std::int32_t token : tokens) batch.push_back({&cache_, token, false});
  const bool epilogue = layer == model_->hyperparameters().layers;
  CaughtInputs ignored;
  const std::vector<InputGroup> groups = input_groups(model_->architecture(), epilogue);
  InputCatcher catcher(groups, inputs == nullptr ? ignored : *inputs);
  const Observing observing(executor_, inputs == nullptr ? nullptr : &catcher);
  return executor_.evaluate_part(batch, layer, keep ? kept : std::span(copy));
}

}  // namespace checkbit
