#include "quantize/run_memory.h"

#include <algorithm>
#include <map>
#include <utility>

#include "kernels/activations.h"

namespace checkbit {
namespace {

/// Pages of code and libraries first touched by loading, evaluating and printing.
constexpr std::uint64_t kProgramCodeBytes = 3u << 20;
/// Source pages of the slab being packed, and of the page cache's folios at its ends.
constexpr std::uint64_t kLoadSlabBytes = 10u << 20;

/// The largest of any group of linear steps, as the executor keeps them: `forms(matrix)` says what
/// one matrix may ask for.
template <class F>
std::uint64_t largest_sets(const RunMemory& memory, const Plan& plan, F&& forms) {
  std::map<std::pair<Role, std::int64_t>, const TensorPlan*> matrices;
  for (const TensorPlan& t : plan.tensors) {
    if (t.role != Role::none) matrices[{t.role, t.layer}] = &t;
  }
  std::uint64_t largest = 0;
  for_linear_groups(
      *memory.architecture, memory.layers, [&](std::span<const Step> steps, std::int64_t layer) {
        ActivationSets sets;
        std::int64_t columns = 0;
        for (const Step& step : steps) {
          auto found = matrices.find({step.weight, layer});
          if (found == matrices.end() && step.weight == Role::output)
            found = matrices.find({Role::token_embedding, 0});
          if (found == matrices.end()) continue;
          columns = static_cast<std::int64_t>(found->second->source->info.columns());
          forms(*found->second, sets);
        }
        largest = std::max<std::uint64_t>(largest, sets.bytes(columns, memory.batch_tokens));
      });
  return largest;
}

}  // namespace

std::uint64_t activation_bytes(const RunMemory& memory, const Plan& plan) {
  return largest_sets(memory, plan, [](const TensorPlan& t, ActivationSets& sets) {
    if (t.format->unpack != nullptr) sets.add(activation_form(t.format->integer));
  });
}

std::uint64_t most_activation_bytes(const RunMemory& memory, const Plan& plan) {
  // One matrix asks for one form: the group's largest is as many of the largest form as it has
  // matrices. Sets hold distinct forms, so each gets an offset of its own.
  return largest_sets(memory, plan, [](const TensorPlan& t, ActivationSets& sets) {
    const auto columns = static_cast<std::int64_t>(t.source->info.columns());
    ActivationForm largest;
    std::size_t most = 0;
    for (const Format* format : all_formats()) {
      if (format->unpack == nullptr || columns % format->block_elements != 0) continue;
      ActivationSets one;
      one.add(activation_form(format->integer));
      if (one.bytes(columns, 16) <= most) continue;
      most = one.bytes(columns, 16);
      largest = activation_form(format->integer);
    }
    largest.offset = 1000 + sets.size();
    if (most > 0) sets.add(largest);
  });
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
  memory.architecture = &session.model().architecture();
  memory.layers = h.layers;
  // Room for scores grows by doubling.
  const std::int64_t positions = 2 * (context_tokens + memory.batch_tokens);
  const std::uint64_t scores =
      Executor::split_bytes(h, positions) +
      Executor::score_bytes(h, positions) * static_cast<std::uint64_t>(session.pool().size());
  const std::uint64_t activations = activation_bytes(memory, source);
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
                            most_activation_bytes(memory, source));
}

std::uint64_t promised_bytes(const RunMemory& memory, const Plan& plan) {
  std::uint64_t loaded = 0;
  std::uint64_t loading = 0;
  for (const TensorPlan& t : plan.tensors) {
    loaded += t.resident_bytes();
    loading = std::max(loading, loaded + std::min(t.file_bytes(), kLoadSlabBytes));
  }
  const std::uint64_t running = loaded + memory.cache_bytes + memory.buffer_bytes +
                                memory.sampler_bytes + activation_bytes(memory, plan);
  return memory.program_bytes + std::max(loading, running);
}

}  // namespace checkbit
