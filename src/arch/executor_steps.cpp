// The steps of the executor, one function each.

#include <algorithm>

#include "arch/executor.h"

namespace checkbit {
void Executor::run_step(const Step& step, std::int64_t layer) {
  const Hyperparameters& h = model_->hyperparameters();
  const Buffer& out = buffers_[static_cast<int>(step.out)];
  const Buffer& in = buffers_[static_cast<int>(step.in == Slot::none ? step.out : step.in)];
  switch (step.kind) {
    case StepKind::embed:
      return embed(step);
    case StepKind::head_norm:
      return head_norm(step, layer);
    case StepKind::rope:
      return apply_rope(step, layer);
    case StepKind::attention:
      return attention(step, layer);
    case StepKind::linear:
      return run_linears({&step, 1}, layer);
    case StepKind::scale:
      return for_tokens(
          [&](std::int64_t t) { kernels_->scale(h.embedding_scale, out.size, out.row(t)); });
    case StepKind::rms_norm: {
      const float* weight = model_->vector(step.weight, layer);
      return for_tokens([&](std::int64_t t) {
        kernels_->rms_norm(in.row(t), weight, h.norm_epsilon, in.size, out.row(t));
      });
    }
    case StepKind::silu_multiply:
    case StepKind::gelu_multiply: {
      const Buffer& second = buffers_[static_cast<int>(step.second)];
      const auto kernel =
          step.kind == StepKind::silu_multiply ? kernels_->silu_multiply : kernels_->gelu_multiply;
      return for_tokens(
          [&](std::int64_t t) { kernel(in.row(t), second.row(t), in.size, out.row(t)); });
    }
    case StepKind::add:
      return for_tokens([&](std::int64_t t) { kernels_->add(in.row(t), in.size, out.row(t)); });
    case StepKind::softcap:
      if (h.final_softcap > 0) {
        for_tokens(
            [&](std::int64_t t) { kernels_->softcap(h.final_softcap, out.size, out.row(t)); });
      }
      return;
  }
}

void Executor::embed(const Step& step) {
  const PackedMatrix* table = model_->matrix(step.weight);
  const Buffer& out = buffers_[static_cast<int>(step.out)];
  for_tokens([&](std::int64_t t) {
    table->look_up_row(tokens_[static_cast<std::size_t>(t)], out.row(t));
  });
}

void Executor::head_norm(const Step& step, std::int64_t layer) {
  const Hyperparameters& h = model_->hyperparameters();
  const Buffer& out = buffers_[static_cast<int>(step.out)];
  const float* weight = model_->vector(step.weight, layer);
  for_tokens([&](std::int64_t t) {
    for (std::int64_t at = 0; at < out.size; at += h.head_size) {
      kernels_->rms_norm(out.row(t) + at, weight, h.norm_epsilon, h.head_size, out.row(t) + at);
    }
  });
}

void Executor::apply_rope(const Step& step, std::int64_t layer) {
  const Hyperparameters& h = model_->hyperparameters();
  const Buffer& out = buffers_[static_cast<int>(step.out)];
  const std::size_t which = h.is_sliding(layer) ? 1 : 0;
  const std::int64_t pairs = ropes_[which].pairs();
  for_tokens([&](std::int64_t t) {
    const float* table =
        rope_tables_.as<float>() + (static_cast<std::int64_t>(which) * max_batch_ + t) * 2 * pairs;
    for (std::int64_t at = 0; at < out.size; at += h.head_size) {
      rotate(out.row(t) + at, pairs, model_->architecture().pairing, table, table + pairs);
    }
  });
}

void Executor::quantize_input(const Step& step, const ActivationForm& form,
                              const QuantizedActivations& to) {
  for_tokens([&](std::int64_t t) {
    kernels_->quantize_activations(quantize_arguments(step, form, to, t));
  });
}

QuantizeArguments Executor::quantize_arguments(const Step& step, const ActivationForm& form,
                                               const QuantizedActivations& to,
                                               std::int64_t t) const {
  const Buffer& in = buffers_[static_cast<int>(step.in)];
  const TokenBlock block = token_block(t, n_tokens_);
  QuantizeArguments a;
  a.x = in.row(t);
  a.columns = in.size;
  a.form = form;
  a.width = block.width;
  a.lane = static_cast<int>(t - block.first);
  const QuantizedActivations to_block = activations_from(to, form, in.size, block.first);
  a.q = to_block.q;
  a.scales = to_block.scales;
  a.starts = to_block.starts;
  a.mins = to_block.mins;
  return a;
}

void Executor::run_linears(std::span<const Step> steps, std::int64_t layer) {
  if (checks()) return run_checked(steps, layer);
  next_read_ += static_cast<std::size_t>(pool_->size());
  multiply_group(steps, layer, 0);
}

/// attempt > 0: again, each panel by another thread than before.
void Executor::multiply_group(std::span<const Step> steps, std::int64_t layer, int attempt) {
  const Buffer& in = buffers_[static_cast<int>(steps[0].in)];
  std::int64_t panels = 0;
  ActivationSets sets;
  for (const Step& step : steps) {
    const PackedMatrix* matrix = model_->matrix(step.weight, layer);
    panels += matrix->panels();
    if (matrix->quantizes()) sets.add(matrix->activation_form());
  }
  // All threads have read what stands there, so a few tokens would wait for line after line.
  if (n_tokens_ < kFewTokens)
    prefetch_lines<true>(quantized_.data(), sets.bytes(in.size, n_tokens_));
  for (int i = 0; i < sets.size(); ++i) {
    quantize_input(steps[0], sets.form(i), sets.view(i, quantized_.data(), in.size, n_tokens_));
  }
  if (attempt > 0) return multiply_elsewhere(steps, layer, sets, attempt);
  // A prompt computes for longer than it reads.
  constexpr std::int64_t kMostTokens = 8;
  const bool few = n_tokens_ <= kMostTokens;
  const bool ahead = few && next_read_ < reads_.size();
  pool_->expect(ahead ? reads_.data() + next_read_ : nullptr);
  pool_->for_shares(
      panels,
      [&](std::int64_t begin, std::int64_t end, int thread) {
        if (checks()) note_thread(begin, end, thread);
        multiply_range(steps, layer, sets, begin, end, thread);
      },
      few ? 0 : 1);  // a panel takes long for many tokens
}

/// Panels [begin, end) of the steps' matrices laid end to end.
void Executor::multiply_range(std::span<const Step> steps, std::int64_t layer,
                              const ActivationSets& sets, std::int64_t begin, std::int64_t end,
                              int thread) {
  for (const Step& step : steps) {
    const PackedMatrix* matrix = model_->matrix(step.weight, layer);
    const std::int64_t first = std::max<std::int64_t>(begin, 0);
    const std::int64_t last = std::min(end, matrix->panels());
    begin -= matrix->panels();
    end -= matrix->panels();
    if (first >= last) continue;
    const Buffer& in = buffers_[static_cast<int>(step.in)];
    const Buffer& out = buffers_[static_cast<int>(step.out)];
    ActivationRows x{in.row(0), in.stride, n_tokens_, {}};
    int set = -1;
    if (matrix->quantizes()) {
      set = sets.find(matrix->activation_form());
      x.quantized = sets.view(set, quantized_.data(), in.size, n_tokens_);
    }
    if (checks()) {
      multiply_guarded(*matrix, x, set, first, last, out, thread);
    } else {
      matrix->multiply(*kernels_, x, first, last, out.row(0), out.stride,
                       pack_scratch_[static_cast<std::size_t>(thread)].data());
    }
    if (step.bias == Role::none) continue;
    const float* bias = model_->vector(step.bias, layer);
    if (bias == nullptr) continue;
    const std::int64_t row_begin = first * kPanelRows;
    const std::int64_t row_end = std::min(last * kPanelRows, out.size);
    for (std::int64_t t = 0; t < n_tokens_; ++t)
      kernels_->add(bias + row_begin, row_end - row_begin, out.row(t) + row_begin);
  }
}

}  // namespace checkbit
