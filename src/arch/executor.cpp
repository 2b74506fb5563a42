#include "arch/executor.h"

#include <algorithm>
#include <cstring>

#include "base/float_environment.h"

namespace checkbit {
namespace {

std::int64_t slot_size(Slot slot, const Hyperparameters& h) {
  switch (slot) {
    case Slot::residual:
    case Slot::normed:
    case Slot::branch:
      return h.embedding;
    case Slot::query:
      return h.size_of(Dimension::queries);
    case Slot::key:
      return h.size_of(Dimension::keys);
    case Slot::value:
      return h.size_of(Dimension::values);
    case Slot::attended:
      return h.size_of(Dimension::attended);
    case Slot::gate:
    case Slot::up:
      return h.feed_forward;
    case Slot::logits:
      return h.vocabulary;
    case Slot::none:
      return 0;
  }
  return 0;
}

/// Scores, queries and sums of the rows that one thread works on.
std::uint64_t scratch_bytes(const Hyperparameters& h, std::int64_t positions) {
  const std::int64_t floats =
      kAttentionRows * (positions + 2 * attention_sum_floats(h.value_size)) +
      attention_query_floats(h.head_size);
  return static_cast<std::uint64_t>(floats) * sizeof(float);
}

/// Peaks and sums of the blocks of as many split rows as all threads have scratch for.
std::uint64_t split_bytes(const Hyperparameters& h, std::int64_t positions, int threads) {
  const std::int64_t rows = threads * kAttentionRows;
  const std::int64_t blocks = rows * (positions / kAttentionBlock + 1);
  return static_cast<std::uint64_t>(blocks * (1 + attention_sum_floats(h.value_size)) +
                                    rows * kLanes) *
         sizeof(float);
}

}  // namespace

Result<Executor> Executor::create(const Model& model, const Kernels& kernels, ThreadPool& pool,
                                  std::int64_t max_batch, std::int64_t max_logits,
                                  GuardLevel guard) {
  CB_CHECK(max_batch >= 1 && max_logits >= 1 && max_logits <= max_batch);
  const FloatEnvironment environment;
  Executor executor(model, kernels, pool);
  executor.guard_ = guard;
  executor.set_guard_every(0);
  executor.max_batch_ = max_batch;
  executor.max_logits_ = max_logits;
  CB_TRY_STATUS(executor.allocate());
  CB_TRY_STATUS(executor.allocate_quantized());
  executor.plan_reads();
  CB_TRY_STATUS(executor.plan_checks());
  return executor;
}

Status Executor::allocate() {
  const Hyperparameters& h = model_->hyperparameters();
  for (int s = 0; s < kSlotCount; ++s) {
    Buffer& buffer = buffers_[s];
    const Slot slot = static_cast<Slot>(s);
    buffer.size = slot_size(slot, h);
    buffer.stride = padded(buffer.size);
    const std::int64_t rows = slot == Slot::logits ? max_logits_ : max_batch_;
    CB_TRY(buffer.data,
           AlignedBuffer::allocate(static_cast<std::size_t>(rows * buffer.stride) * sizeof(float),
                                   "activations"));
  }
  ropes_.emplace_back(h.rope, model_->vector(Role::rope_factors));
  if (h.sliding_window > 0) ropes_.emplace_back(h.local_rope, nullptr);
  for (const Rope& rope : ropes_) {
    if (rope.usable()) continue;
    return fail(
        ErrorKind::corrupt,
        "the rotary frequencies are not finite; metadata keys {}.rope.* or tensor {} are damaged",
        model_->architecture().name, role_info(Role::rope_factors).pattern);
  }
  const std::size_t table_floats =
      ropes_.size() * static_cast<std::size_t>(max_batch_ * 2 * ropes_[0].pairs());
  CB_TRY(rope_tables_, AlignedBuffer::allocate(table_floats * sizeof(float), "rotary tables"));
  score_scratch_.resize(static_cast<std::size_t>(pool_->size()));
  pack_scratch_.resize(static_cast<std::size_t>(pool_->size()));
  return {};
}

Status Executor::allocate_quantized() {
  std::size_t scratch_bytes = 0;
  std::size_t quantized_bytes = 0;
  for_linear_groups(model_->architecture(), model_->hyperparameters().layers,
                    [&](std::span<const Step> steps, std::int64_t layer) {
                      ActivationSets sets;
                      for (const Step& step : steps) {
                        const PackedMatrix* matrix = model_->matrix(step.weight, layer);
                        if (matrix == nullptr) continue;
                        scratch_bytes = std::max(scratch_bytes, matrix->scratch_bytes());
                        if (matrix->quantizes()) sets.add(matrix->activation_form());
                      }
                      const auto columns = buffers_[static_cast<int>(steps[0].in)].size;
                      quantized_bytes = std::max(quantized_bytes, sets.bytes(columns, max_batch_));
                    });
  CB_TRY(quantized_, AlignedBuffer::allocate(quantized_bytes, "quantized activations"));
  for (AlignedBuffer& scratch : pack_scratch_) {
    CB_TRY(scratch, AlignedBuffer::allocate(scratch_bytes, "packing scratch"));
  }
  return {};
}

/// What each thread reads first in each group of linear steps, for the pool to bring near
/// meanwhile.
void Executor::plan_reads() {
  constexpr std::size_t kAheadBytes = 64u << 10;
  const int threads = pool_->size();
  for_linear_groups(model_->architecture(), model_->hyperparameters().layers,
                    [&](std::span<const Step> steps, std::int64_t layer) {
                      std::int64_t panels = 0;
                      for (const Step& step : steps) {
                        const PackedMatrix* matrix = model_->matrix(step.weight, layer);
                        if (matrix != nullptr) panels += matrix->panels();
                      }
                      for (int thread = 0; thread < threads; ++thread) {
                        std::int64_t first = ThreadPool::share_begin(panels, thread, threads);
                        ReadAhead read;
                        for (const Step& step : steps) {
                          const PackedMatrix* matrix = model_->matrix(step.weight, layer);
                          if (matrix == nullptr) continue;
                          if (first < matrix->panels()) {
                            const std::span<const std::uint8_t> bytes = matrix->packed_from(first);
                            read = {bytes.data(), std::min(bytes.size(), kAheadBytes)};
                            break;
                          }
                          first -= matrix->panels();
                        }
                        reads_.push_back(read);
                      }
                    });
}

std::uint64_t Executor::buffer_bytes() const {
  std::uint64_t bytes = rope_tables_.size();
  for (const Buffer& b : buffers_) bytes += b.data.size();
  bytes += quantized_.size();
  for (const AlignedBuffer& b : pack_scratch_) bytes += b.size();
  for (const AlignedBuffer& b : score_scratch_) bytes += b.size();
  bytes += split_scratch_.size();
  for (const AlignedBuffer& b : check_sums_) bytes += b.size();
  for (const AlignedBuffer& b : twice_) bytes += b.size();
  return bytes;
}

Status Executor::check_batch(std::span<const BatchToken> batch, std::int64_t& n_logits) const {
  if (batch.empty() || static_cast<std::int64_t>(batch.size()) > max_batch_) {
    return fail(ErrorKind::invalid, "a batch of {} tokens is not in 1..{}", batch.size(),
                max_batch_);
  }
  n_logits = 0;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const BatchToken& b = batch[i];
    CB_CHECK(b.sequence != nullptr);
    if (b.token < 0 || b.token >= model_->hyperparameters().vocabulary) {
      return fail(ErrorKind::invalid, "token id {} is not in the vocabulary of {}", b.token,
                  model_->hyperparameters().vocabulary);
    }
    n_logits += b.wants_logits ? 1 : 0;
    const auto ahead = std::ranges::count_if(
        batch.first(i + 1), [&](const BatchToken& o) { return o.sequence == b.sequence; });
    if (b.sequence->length() + ahead > b.sequence->capacity()) {
      return fail(ErrorKind::invalid, "the context of {} tokens is full", b.sequence->capacity());
    }
  }
  if (n_logits > max_logits_) {
    return fail(ErrorKind::invalid, "{} tokens ask for logits, at most {} can", n_logits,
                max_logits_);
  }
  return {};
}

void Executor::place_tokens(std::span<const BatchToken> batch) {
  positions_.clear();
  caches_.clear();
  tokens_.clear();
  for (const BatchToken& b : batch) {
    positions_.push_back(b.sequence->length());
    b.sequence->append(b.token);
    caches_.push_back(b.sequence);
    tokens_.push_back(b.token);
  }
  const std::int64_t pairs = ropes_[0].pairs();
  for (std::size_t r = 0; r < ropes_.size(); ++r) {
    for (std::size_t t = 0; t < batch.size(); ++t) {
      float* table = rope_tables_.as<float>() + (r * static_cast<std::size_t>(max_batch_) + t) * 2 *
                                                    static_cast<std::size_t>(pairs);
      ropes_[r].table(positions_[t], table, table + pairs);
    }
  }
}

/// Room for the scores of the longest sequence, before anything changes.
Status Executor::reserve_scores(std::span<const BatchToken> batch) {
  const Hyperparameters& h = model_->hyperparameters();
  std::int64_t furthest = 0;
  for (const BatchToken& b : batch) furthest = std::max(furthest, b.sequence->length());
  const std::int64_t needed = furthest + static_cast<std::int64_t>(batch.size()) + 64;
  if (needed > score_capacity_) score_capacity_ = padded(std::max(needed, 2 * score_capacity_));
  const auto reserve = [](AlignedBuffer& buffer, std::uint64_t bytes) -> Status {
    if (buffer.size() >= bytes) return {};
    CB_TRY(buffer, AlignedBuffer::allocate(bytes, "attention scores", AlignedBuffer::Pages::small));
    return {};
  };
  for (AlignedBuffer& scratch : score_scratch_)
    CB_TRY_STATUS(reserve(scratch, scratch_bytes(h, score_capacity_)));
  return reserve(split_scratch_, split_bytes(h, score_capacity_, pool_->size()));
}

std::uint64_t Executor::score_bytes(const Hyperparameters& h, std::int64_t positions, int threads) {
  return static_cast<std::uint64_t>(threads) * scratch_bytes(h, positions) +
         split_bytes(h, positions, threads);
}

Status Executor::begin(std::span<const BatchToken> batch) {
  CB_TRY_STATUS(reserve_scores(batch));
  place_tokens(batch);
  n_tokens_ = static_cast<std::int64_t>(batch.size());
  group_attention_rows();
  plan_stores();
  next_read_ = 0;
  next_check_ = 0;
  guard_failure_ = {};
  return {};
}

Result<LogitsView> Executor::evaluate(std::span<const BatchToken> batch) {
  std::int64_t n_logits = 0;
  CB_TRY_STATUS(check_batch(batch, n_logits));
  return guard_ == GuardLevel::off ? evaluate_once(batch, n_logits)
                                   : evaluate_guarded(batch, n_logits);
}

Result<LogitsView> Executor::evaluate_once(std::span<const BatchToken> batch,
                                           std::int64_t n_logits) {
  const FloatEnvironment environment;
  CB_TRY_STATUS(begin(batch));
  const Hyperparameters& h = model_->hyperparameters();
  const Architecture& architecture = model_->architecture();
  const std::uint64_t checks_before = guard_counters_.checks;
  run_steps(architecture.prologue, -1);
  for (std::int64_t layer = 0; layer < h.layers; ++layer) run_steps(architecture.layer, layer);
  const Buffer& logits = buffers_[static_cast<int>(Slot::logits)];
  if (n_logits > 0) {
    keep_wanted(batch);
    n_tokens_ = n_logits;
    run_steps(architecture.epilogue, -1);
  }
  pool_->expect(nullptr);  // the pool may outlive what is planned here
  if (checks()) CB_TRY_STATUS(finish_checks(n_logits, checks_before));
  return LogitsView{logits.data.as<float>(), n_logits, logits.size, logits.stride};
}

Status Executor::evaluate_part(std::span<const BatchToken> batch, std::int64_t layer,
                               std::span<float> residual) {
  CB_CHECK(!checks());  // they follow the order of a whole pass
  const FloatEnvironment environment;
  std::int64_t n_logits = 0;
  CB_TRY_STATUS(check_batch(batch, n_logits));
  CB_TRY_STATUS(begin(batch));
  const Architecture& architecture = model_->architecture();
  const Buffer& buffer = buffers_[static_cast<int>(Slot::residual)];
  const auto size = static_cast<std::size_t>(buffer.size);
  CB_CHECK(residual.size() == batch.size() * size);
  for (std::size_t t = 0; layer >= 0 && t < batch.size(); ++t) {
    std::memcpy(buffer.row(static_cast<std::int64_t>(t)), residual.data() + t * size,
                size * sizeof(float));
  }
  if (layer < model_->hyperparameters().layers) {
    run_steps(layer < 0 ? architecture.prologue : architecture.layer, layer);
  } else {
    const auto last = std::ranges::find_if(
        architecture.epilogue, [](const Step& s) { return s.kind == StepKind::linear; });
    const auto before = static_cast<std::size_t>(last - architecture.epilogue.begin());
    run_steps(architecture.epilogue.first(before), -1);
    notify(architecture.epilogue.subspan(before, 1), -1, false);
  }
  pool_->expect(nullptr);
  for (std::size_t t = 0; t < batch.size(); ++t) {
    std::memcpy(residual.data() + t * size, buffer.row(static_cast<std::int64_t>(t)),
                size * sizeof(float));
  }
  return {};
}

void Executor::keep_wanted(std::span<const BatchToken> batch) {
  const Buffer& residual = buffers_[static_cast<int>(Slot::residual)];
  std::int64_t kept = 0;
  for (std::size_t t = 0; t < batch.size(); ++t) {
    if (!batch[t].wants_logits) continue;
    if (kept != static_cast<std::int64_t>(t)) {
      std::memcpy(residual.row(kept), residual.row(static_cast<std::int64_t>(t)),
                  static_cast<std::size_t>(residual.stride) * sizeof(float));
    }
    ++kept;
  }
}

void Executor::run_steps(std::span<const Step> steps, std::int64_t layer) {
  for (std::size_t i = 0; i < steps.size() && guard_failure_.ok();) {
    const std::size_t count = linear_group(steps, i);
    const auto group = steps.subspan(i, count);
    notify(group, layer, false);
    if (group[0].kind == StepKind::linear) {
      run_linears(group, layer);
    } else {
      run_guarded_step(group[0], layer);
    }
    notify(group, layer, true);
    i += count;
  }
}

StepView Executor::view(const Step& step, std::int64_t layer) {
  StepView v{.step = step, .layer = layer, .n_tokens = n_tokens_};
  if (step.in != Slot::none) {
    const Buffer& in = buffers_[static_cast<int>(step.in)];
    v.in = in.row(0);
    v.in_size = in.size;
    v.in_stride = in.stride;
  }
  const Buffer& out = buffers_[static_cast<int>(step.out)];
  v.out = out.row(0);
  v.out_size = out.size;
  v.out_stride = out.stride;
  if (step.kind == StepKind::attention) v.cache_bytes = cache_bytes_read(layer);
  return v;
}

void Executor::notify(std::span<const Step> steps, std::int64_t layer, bool after) {
  for (StepObserver* observer : observers_) {
    for (const Step& step : steps)
      after ? observer->after(view(step, layer)) : observer->before(view(step, layer));
  }
}

}  // namespace checkbit
