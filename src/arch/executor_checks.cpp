// Checked products of the executor: docs/guard.md, "Exact checks".

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

#include "arch/executor.h"

namespace checkbit {
namespace {

/// Tries to get a product right before the run stops: once again, then after repairs.
constexpr int kMostAttempts = 4;

std::vector<const PackedMatrix*> matrices_of(const Model& model, std::span<const Step> steps,
                                             std::int64_t layer) {
  std::vector<const PackedMatrix*> matrices;
  for (const Step& step : steps) {
    if (const PackedMatrix* matrix = model.matrix(step.weight, layer)) matrices.push_back(matrix);
  }
  return matrices;
}

/// Matrices whose products no exact check covers.
std::uint64_t count_float(const Model& model, std::span<const Step> steps, std::int64_t layer) {
  std::uint64_t count = 0;
  for (const Step& step : steps) {
    const PackedMatrix* matrix = model.matrix(step.weight, layer);
    count += matrix != nullptr && !matrix->quantizes() ? 1 : 0;
  }
  return count;
}

/// One per activation form of the group: what all its matrices of that form sum up to.
std::vector<CheckBlock> blocks_of(std::span<const PackedMatrix* const> matrices,
                                  bool from_file = false) {
  std::vector<CheckBlock> blocks;
  for (const PackedMatrix* matrix : matrices) {
    if (!matrix->quantizes()) continue;
    const ColumnSums& sums =
        from_file ? matrix->sum_columns(0, matrix->panels()) : matrix->check_sums();
    const auto same = [&](const CheckBlock& b) { return b.form == matrix->activation_form(); };
    const auto found = std::ranges::find_if(blocks, same);
    if (found == blocks.end()) {
      blocks.push_back({matrix->activation_form(), sums});
    } else {
      found->sums.add(sums);
    }
  }
  return blocks;
}

}  // namespace

Status Executor::plan_checks() {
  if (guard_ < GuardLevel::check) return {};
  if (!model_->options().checks) {
    return fail(ErrorKind::invalid, "the model was loaded without the sums that checks need");
  }
  const auto threads = static_cast<std::size_t>(pool_->size());
  std::int64_t most_panels = 0;
  const auto add = [&](std::span<const Step> steps, std::int64_t layer) {
    const auto matrices = matrices_of(*model_, steps, layer);
    std::int64_t panels = 0;
    for (const PackedMatrix* matrix : matrices) panels += matrix->panels();
    most_panels = std::max(most_panels, panels);
    check_groups_.push_back(blocks_of(matrices));
  };
  for_linear_groups(model_->architecture(), model_->hyperparameters().layers, add);
  panel_threads_.resize(static_cast<std::size_t>(most_panels));
  rows_differ_.resize(threads);
  sums_before_.resize(static_cast<std::size_t>(ActivationSets::kMost * max_batch_));
  check_sums_.resize(threads);
  for (AlignedBuffer& sums : check_sums_) {
    CB_TRY(sums, AlignedBuffer::allocate(
                     static_cast<std::size_t>(ActivationSets::kMost * max_batch_ * kLanes) * 4,
                     "sums of checks", AlignedBuffer::Pages::small));
  }
  if (guard_ < GuardLevel::full) return {};
  twice_.resize(threads);
  for (AlignedBuffer& again : twice_) {
    CB_TRY(again, AlignedBuffer::allocate(static_cast<std::size_t>(max_batch_ * kLanes) * 4,
                                          "second products"));
  }
  return {};
}

/// Panels [begin, end) of a matrix by one thread: sums of the check, and with GuardLevel::full the
/// products twice, while a panel is in the near caches.
void Executor::multiply_guarded(const PackedMatrix& matrix, const ActivationRows& x, int set,
                                std::int64_t begin, std::int64_t end, const Buffer& out,
                                int thread) {
  std::uint8_t* scratch = pack_scratch_[static_cast<std::size_t>(thread)].data();
  std::int32_t* sums = set >= 0 ? check_sums(thread, set) : nullptr;
  const auto multiply = [&](std::int64_t first, std::int64_t last) {
    matrix.multiply_checked(*kernels_, x, first, last, out.row(0), out.stride, scratch, sums);
  };
  if (guard_ < GuardLevel::full) return multiply(begin, end);
  float* again = twice_[static_cast<std::size_t>(thread)].as<float>();
  for (std::int64_t panel = begin; panel < end; ++panel) {
    multiply(panel, panel + 1);
    rows_differ_[static_cast<std::size_t>(thread)] += matrix.count_different(
        *kernels_, x, panel, panel + 1, out.row(0), out.stride, scratch, again);
  }
}

std::int32_t* Executor::check_sums(int thread, int set) const {
  return check_sums_[static_cast<std::size_t>(thread)].as<std::int32_t>() +
         set * max_batch_ * kLanes;
}

/// What the checks of this evaluation must come to: counted from the plan, not from what ran.
std::uint64_t Executor::checks_due(std::int64_t tokens, std::int64_t logits) const {
  std::uint64_t due = 0;
  std::size_t group = 0;
  const auto add = [&](std::span<const Step> steps, std::int64_t n) {
    for (std::size_t i = 0; i < steps.size(); i += linear_group(steps, i)) {
      if (steps[i].kind != StepKind::linear) continue;
      due += check_groups_[group++].size() * static_cast<std::uint64_t>(n);
    }
  };
  const Architecture& architecture = model_->architecture();
  add(architecture.prologue, tokens);
  for (std::int64_t layer = 0; layer < model_->hyperparameters().layers; ++layer)
    add(architecture.layer, tokens);
  add(architecture.epilogue, logits);
  return due;
}

/// Every check of the pass has been made, or it is an error; so is a product that stayed wrong.
Status Executor::finish_checks(std::int64_t n_logits, std::uint64_t checks_before) {
  Status status = guard_failure_;
  const auto tokens = static_cast<std::int64_t>(positions_.size());
  const std::uint64_t made = guard_counters_.checks - checks_before;
  const std::uint64_t due = checks_due(tokens, n_logits);
  if (status.ok() && made != due)
    status =
        fail(ErrorKind::corrupt, "{} checks of products were made where {} were due", made, due);
  guard_counters_.tokens += static_cast<std::uint64_t>(tokens);
  if (status.ok()) return status;
  for (std::size_t t = positions_.size(); t-- > 0;) caches_[t]->truncate(positions_[t]);
  return status;
}

/// Each panel by the thread that is `attempt` after the one before.
void Executor::multiply_elsewhere(std::span<const Step> steps, std::int64_t layer,
                                  const ActivationSets& sets, int attempt) {
  std::int64_t panels = 0;
  for (const PackedMatrix* matrix : matrices_of(*model_, steps, layer)) panels += matrix->panels();
  pool_->run([&](int thread, int threads) {
    for (std::int64_t panel = 0; panel < panels; ++panel) {
      if ((panel_threads_[static_cast<std::size_t>(panel)] + attempt) % threads == thread)
        multiply_range(steps, layer, sets, panel, panel + 1, thread);
    }
  });
}

void Executor::run_checked(std::span<const Step> steps, std::int64_t layer) {
  std::vector<CheckBlock>& blocks = check_groups_[next_check_++];
  next_read_ += static_cast<std::size_t>(pool_->size());
  bool repaired = false;
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    if (attempt > 1) {
      const auto matrices = matrices_of(*model_, steps, layer);
      repaired |= weight_repair_ && weight_repair_(matrices);
      repaired |= model_->restore_check_weights();
      blocks = blocks_of(matrices, attempt > 2);
    }
    checked_ = blocks;
    for (const CheckBlock& block : blocks) {
      if (n_tokens_ < kFewTokens)
        prefetch_lines<false>(block.sums.columns.data(),
                              block.sums.columns.size() * sizeof(std::int32_t));
    }
    multiply_group(steps, layer, attempt);
    std::int64_t wrong = count_wrong(steps[0]);
    if (wrong == 0 && damaged_floats(steps, layer)) {
      repaired = true;
      wrong = 1;
    }
    guard_counters_.recomputed += attempt > 0 ? 1 : 0;
    if (wrong == 0) {
      guard_counters_.repaired += repaired ? 1 : 0;
      guard_counters_.checks += blocks.size() * static_cast<std::uint64_t>(n_tokens_);
      guard_counters_.unchecked +=
          count_float(*model_, steps, layer) * static_cast<std::uint64_t>(n_tokens_);
      return;
    }
    guard_counters_.alarms += static_cast<std::uint64_t>(wrong);
  }
  std::string names;
  for (const PackedMatrix* matrix : matrices_of(*model_, steps, layer))
    names += (names.empty() ? "" : ", ") + matrix->name();
  guard_failure_ =
      fail(ErrorKind::corrupt,
           "products with {} stay wrong after {} computations{}: memory or a processor is "
           "faulty; verify the model's file and test the machine",
           names, kMostAttempts, weight_repair_ ? " and repairs of their weights" : "");
}

/// Float weights have no exact check: with GuardLevel::full they are verified once they were read.
/// True when some were not what they were; they are mended then.
bool Executor::damaged_floats(std::span<const Step> steps, std::int64_t layer) {
  if (guard_ < GuardLevel::full || !weight_repair_) return false;
  std::vector<const PackedMatrix*> floats = matrices_of(*model_, steps, layer);
  std::erase_if(floats, [](const PackedMatrix* matrix) { return matrix->quantizes(); });
  return !floats.empty() && weight_repair_(floats);
}

/// Which thread multiplies panels [begin, end): another one does when they are computed again.
void Executor::note_thread(std::int64_t begin, std::int64_t end, int thread) {
  std::fill_n(panel_threads_.begin() + begin, end - begin, static_cast<std::uint16_t>(thread));
}

/// After the products: how many tokens' activations are not those of a second quantization, how
/// many checks of tokens do not agree, and how many rows came out otherwise the second time.
std::int64_t Executor::count_wrong(const Step& step) {
  const std::int64_t columns = buffers_[static_cast<int>(step.in)].size;
  ActivationSets sets;
  for (const CheckBlock& block : checked_) sets.add(block.form);
  std::atomic<std::int64_t> wrong = 0;
  for (std::int64_t& rows : rows_differ_) wrong += std::exchange(rows, 0);
  for_tokens([&](std::int64_t t) {
    for (int set = 0; set < sets.size(); ++set) {
      const QuantizedActivations x = sets.view(set, quantized_.data(), columns, n_tokens_);
      const QuantizeArguments token = quantize_arguments(step, sets.form(set), x, t);
      const ColumnSums& sums = checked_[static_cast<std::size_t>(set)].sums;
      const std::int32_t sum = kernels_->check_sum({.q = token.q,
                                                    .columns = sums.columns.data(),
                                                    .n = columns,
                                                    .group = token.form.group,
                                                    .width = token.width,
                                                    .lane = token.lane});
      if (!kernels_->same_activations(token)) ++wrong;
      if (summed_by_products(set, t) != sums.constant + static_cast<std::uint32_t>(sum)) ++wrong;
    }
  });
  return wrong;
}

/// Over all rows, whoever multiplied them: what the sums of all threads, which nobody clears, have
/// grown by since they were read last.
std::uint32_t Executor::summed_by_products(int set, std::int64_t token) {
  std::uint32_t sum = 0;
  for (int thread = 0; thread < pool_->size(); ++thread) {
    const std::int32_t* lanes = check_sums(thread, set) + token * kLanes;
    for (std::int64_t lane = 0; lane < kLanes; ++lane)
      sum += static_cast<std::uint32_t>(lanes[lane]);
  }
  return sum - std::exchange(sums_before_[static_cast<std::size_t>(set * max_batch_ + token)], sum);
}

}  // namespace checkbit
