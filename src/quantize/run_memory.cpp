#include "quantize/run_memory.h"

#include <algorithm>
#include <vector>

#include "kernels/activations.h"

namespace checkbit {
namespace {

/// Pages of code and libraries first touched by loading, evaluating and printing.
constexpr std::uint64_t kProgramCodeBytes = 4u << 20;

std::int64_t widest_of(const Plan& plan) {
  std::int64_t widest = 0;
  for (const TensorPlan& t : plan.tensors) {
    if (is_quantizable(t))
      widest = std::max(widest, static_cast<std::int64_t>(t.source->info.columns()));
  }
  return widest;
}

/// Distinct forms of 8-bit activations; the executor keeps one set of buffers for each.
class FormSet {
 public:
  void add(const Format& format) {
    const ActivationForm form = activation_form(format.integer);
    if (std::ranges::find(forms_, form) == forms_.end()) forms_.push_back(form);
  }
  std::uint64_t bytes(std::int64_t widest, std::int64_t batch_tokens) const {
    std::uint64_t sum = 0;
    for (const ActivationForm& form : forms_) {
      sum += static_cast<std::uint64_t>(batch_tokens * activation_bytes_per_token(form, widest));
    }
    return sum;
  }

 private:
  std::vector<ActivationForm> forms_;
};

}  // namespace

std::uint64_t activation_bytes(const Plan& plan, std::int64_t batch_tokens) {
  FormSet forms;
  for (const TensorPlan& t : plan.tensors) {
    if (is_quantizable(t) && t.format->unpack != nullptr) forms.add(*t.format);
  }
  return forms.bytes(widest_of(plan), batch_tokens);
}

std::uint64_t most_activation_bytes(const Plan& plan, std::int64_t batch_tokens) {
  FormSet forms;
  for (const Format* format : all_formats()) {
    const auto fits = [&](const TensorPlan& t) {
      return is_quantizable(t) &&
             t.source->info.columns() % static_cast<std::uint64_t>(format->block_elements) == 0;
    };
    if (format->unpack != nullptr && std::ranges::any_of(plan.tensors, fits)) forms.add(*format);
  }
  return forms.bytes(widest_of(plan), batch_tokens);
}

RunMemory run_memory(Session& session, const Plan& source, std::uint64_t start_bytes) {
  const Executor& executor = session.executor();
  const auto vocabulary = static_cast<std::uint64_t>(session.model().hyperparameters().vocabulary);
  RunMemory memory;
  memory.batch_tokens = executor.max_batch();
  memory.cache_bytes =
      KvCache::bytes_for(session.model().hyperparameters(), session.context_tokens());
  const std::uint64_t not_in_run =
      static_cast<std::uint64_t>(executor.max_logits() - 1) * vocabulary * sizeof(float) +
      activation_bytes(source, memory.batch_tokens);
  memory.buffer_bytes = executor.buffer_bytes() - std::min(executor.buffer_bytes(), not_in_run);
  memory.sampler_bytes = vocabulary * (sizeof(float) + sizeof(TokenId) +
                                       sizeof(float));  // adjusted logits, candidates
  memory.program_bytes = start_bytes + kProgramCodeBytes;
  return memory;
}

}  // namespace checkbit
