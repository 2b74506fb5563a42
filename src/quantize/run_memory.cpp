#include "quantize/run_memory.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "kernels/activations.h"

namespace checkbit {
namespace {

/// Pages of code and libraries first touched by loading, evaluating and printing.
constexpr std::uint64_t kProgramCodeBytes = 3u << 20;
/// Source pages of the slab being packed, and of the page cache's folios at its ends.
constexpr std::uint64_t kLoadSlabBytes = 10u << 20;

using Matrices = std::vector<const TensorPlan*>;

/// The largest bytes_of(matrices, columns) of any group of linear steps, as the executor runs them.
template <class F>
std::uint64_t largest_group(const RunMemory& memory, const Plan& plan, F&& bytes_of) {
  std::map<std::pair<Role, std::int64_t>, const TensorPlan*> matrices;
  for (const TensorPlan& t : plan.tensors) {
    if (t.role != Role::none) matrices[{t.role, t.layer}] = &t;
  }
  std::uint64_t largest = 0;
  for_linear_groups(
      *memory.architecture, memory.layers, [&](std::span<const Step> steps, std::int64_t layer) {
        Matrices group;
        for (const Step& step : steps) {
          auto found = matrices.find({step.weight, layer});
          if (found == matrices.end() && step.weight == Role::output)
            found = matrices.find({Role::token_embedding, 0});
          if (found != matrices.end()) group.push_back(found->second);
        }
        if (group.empty()) return;
        const auto columns = static_cast<std::int64_t>(group[0]->source->info.columns());
        largest = std::max<std::uint64_t>(largest, bytes_of(group, columns));
      });
  return largest;
}

/// Of one matrix in any format that fits its columns.
std::size_t most_set_bytes(std::int64_t columns, std::int64_t tokens) {
  std::size_t most = 0;
  for (const Format* format : all_formats()) {
    if (format->unpack == nullptr || columns % format->block_elements != 0) continue;
    ActivationSets one;
    one.add(activation_form(format->integer));
    most = std::max(most, one.bytes(columns, tokens));
  }
  return most;
}

}  // namespace

std::uint64_t activation_bytes(const RunMemory& memory, const Plan& plan) {
  return largest_group(memory, plan, [&](const Matrices& group, std::int64_t columns) {
    ActivationSets sets;
    for (const TensorPlan* t : group) {
      if (t->format->unpack != nullptr) sets.add(activation_form(t->format->integer));
    }
    return sets.bytes(columns, memory.batch_tokens);
  });
}

std::uint64_t most_activation_bytes(const RunMemory& memory, const Plan& plan) {
  return largest_group(memory, plan, [&](const Matrices& group, std::int64_t columns) {
    return group.size() * most_set_bytes(columns, memory.batch_tokens);
  });
}

Result<RunMemory> run_memory(Session& session, const Plan& source, std::int64_t context_tokens,
                             CacheType cache_type, std::uint64_t start_bytes) {
  const Hyperparameters& h = session.model().hyperparameters();
  if (context_tokens < 1 || context_tokens > h.context_length) {
    return fail(ErrorKind::invalid,
                "{}: a context of {} tokens is not in 1..{}, what the model was trained for",
                session.file().path(), context_tokens, h.context_length);
  }
  RunMemory memory;
  memory.batch_tokens = std::min(SessionOptions().batch_tokens, context_tokens);
  memory.cache_bytes = KvCache::bytes_for(h, context_tokens, cache_type);
  CB_TRY(const Executor executor, Executor::create(session.model(), kernels_for(session.isa()),
                                                   session.pool(), memory.batch_tokens, 1));
  memory.architecture = &session.model().architecture();
  memory.layers = h.layers;
  // Room for scores grows by doubling.
  const std::int64_t positions = 2 * (context_tokens + memory.batch_tokens);
  const std::uint64_t scores = Executor::score_bytes(h, positions, session.pool().size());
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
