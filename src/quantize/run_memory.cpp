#include "quantize/run_memory.h"

#include <algorithm>
#include <vector>

#include "kernels/activations.h"

namespace checkbit {
namespace {

/// Pages of code and libraries first touched by loading, evaluating and printing.
constexpr std::uint64_t kProgramCodeBytes = 3u << 20;
/// Source pages of the slab being packed, and of the page cache's folios at its ends.
constexpr std::uint64_t kLoadSlabBytes = 10u << 20;

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

Result<RunMemory> run_memory(Session& session, const Plan& source, std::int64_t context_tokens,
                             std::uint64_t start_bytes) {
  const Hyperparameters& h = session.model().hyperparameters();
  if (context_tokens < 1 || context_tokens > h.context_length) {
    return fail(ErrorKind::invalid,
                "{}: a context of {} tokens is not in 1..{}, what the model was trained for",
                session.file().path(), context_tokens, h.context_length);
  }
  RunMemory memory;
  memory.batch_tokens = std::min(SessionOptions().batch_tokens, context_tokens);
  memory.cache_bytes = KvCache::bytes_for(h, context_tokens);
  CB_TRY(const Executor executor, Executor::create(session.model(), kernels_for(session.isa()),
                                                   session.pool(), memory.batch_tokens, 1));
  const auto scores = static_cast<std::uint64_t>(h.heads / h.key_value_heads * context_tokens) *
                      sizeof(float) * static_cast<std::uint64_t>(session.pool().size());
  const std::uint64_t activations = activation_bytes(source, memory.batch_tokens);
  memory.buffer_bytes =
      executor.buffer_bytes() - std::min(executor.buffer_bytes(), activations) + scores;
  memory.sampler_bytes =
      static_cast<std::uint64_t>(h.vocabulary) *
      (sizeof(float) + sizeof(TokenId) + sizeof(float));  // adjusted logits, candidates
  memory.program_bytes = start_bytes + kProgramCodeBytes;
  return memory;
}

std::uint64_t beside_weights_bytes(const RunMemory& memory, const Plan& source) {
  std::uint64_t slab = 0;
  for (const TensorPlan& t : source.tensors)
    slab = std::max(slab, std::min(t.file_bytes(), kLoadSlabBytes));
  return memory.program_bytes +
         std::max(slab, memory.cache_bytes + memory.buffer_bytes + memory.sampler_bytes +
                            most_activation_bytes(source, memory.batch_tokens));
}

std::uint64_t promised_bytes(const RunMemory& memory, const Plan& plan) {
  std::uint64_t loaded = 0;
  std::uint64_t loading = 0;
  for (const TensorPlan& t : plan.tensors) {
    loaded += t.resident_bytes();
    loading = std::max(loading, loaded + std::min(t.file_bytes(), kLoadSlabBytes));
  }
  const std::uint64_t running = loaded + memory.cache_bytes + memory.buffer_bytes +
                                memory.sampler_bytes + activation_bytes(plan, memory.batch_tokens);
  return memory.program_bytes + std::max(loading, running);
}

}  // namespace checkbit
