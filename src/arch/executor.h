// Runs any architecture's steps over a batch of tokens.
//
// What: a batch is a list of (sequence, token); tokens of one sequence are consecutive positions in
//   batch order. Logits come back for the tokens that ask for them. A token's logits are the same
//   bits whatever the batch, the threads or the instruction set (docs/numerics.md).
// Observers see every step's input and output: calibration, profiling and guarding hook in here.
// Guards of what is not a matrix product (executor_memory_guard.cpp): from GuardLevel::verify on,
//   keys and values are verified before each store and in turn after each pass, and computed again
//   where they are wrong; from GuardLevel::check on, some steps are computed twice, with full all.
// Errors: invalid (token id out of range, context full, batch too large), memory; guarded: corrupt,
//   when what is wrong stays wrong. A sequence whose keys and values cannot be computed again is
//   then as long as what is right of it.
// Threads: one call at a time per executor.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "arch/guard_level.h"
#include "arch/kv_cache.h"
#include "arch/memory_counters.h"
#include "arch/model.h"
#include "arch/rope.h"

namespace checkbit {

struct BatchToken {
  KvCache* sequence = nullptr;
  std::int32_t token = 0;
  bool wants_logits = false;
};

inline constexpr std::int64_t kLanes = 16;
/// Whole vectors of lanes, which are whole cache lines of floats.
constexpr std::int64_t padded(std::int64_t n) { return (n + kLanes - 1) / kLanes * kLanes; }

/// What a step did, for observers. Rows are [tokens][stride], `size` floats of each are used.
struct StepView {
  const Step& step;
  std::int64_t layer;  ///< -1 outside the layers
  std::int64_t n_tokens;
  const float* in = nullptr;  ///< null when the step has no input buffer
  std::int64_t in_size = 0;
  std::int64_t in_stride = 0;
  float* out = nullptr;  ///< writable: emulation and injection may change it
  std::int64_t out_size = 0;
  std::int64_t out_stride = 0;
  std::int64_t cache_bytes = 0;  ///< keys and values that an attention step reads
};

class StepObserver {
 public:
  virtual ~StepObserver() = default;
  virtual void before(const StepView&) {}
  virtual void after(const StepView&) {}
};

/// Logits of the tokens that asked, in batch order; valid until the next evaluate.
struct LogitsView {
  const float* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t vocabulary = 0;
  std::int64_t stride = 0;
  std::span<const float> row(std::int64_t i) const {
    return {data + i * stride, static_cast<std::size_t>(vocabulary)};
  }
};

/// Fewer tokens than these are dealt with by one thread: not worth a barrier.
inline constexpr std::int64_t kFewTokens = 4;

/// Asks for lines soon to be read, or with kWrite written, so that they come at the same time.
template <bool kWrite>
void prefetch_lines(const void* data, std::size_t bytes) {
  constexpr std::size_t kLineBytes = 64;
  constexpr std::size_t kMostBytes = 16u << 10;  // more would push out what came first
  const auto* at = static_cast<const std::uint8_t*>(data);
  for (std::size_t i = 0; i < std::min(bytes, kMostBytes); i += kLineBytes)
    __builtin_prefetch(at + i, kWrite ? 1 : 0, kWrite ? 3 : 2);
}

/// The matrices of a group of linear steps that take the same activations are checked as one.
struct CheckBlock {
  ActivationForm form;
  ColumnSums sums;
};

class Executor {
 public:
  /// `max_batch` tokens at most per call, `max_logits` of them with logits; buffers are allocated
  /// here.
  static Result<Executor> create(const Model& model, const Kernels& kernels, ThreadPool& pool,
                                 std::int64_t max_batch, std::int64_t max_logits,
                                 GuardLevel guard = GuardLevel::off);

  /// On success every sequence has grown by its tokens. On error nothing has changed.
  Result<LogitsView> evaluate(std::span<const BatchToken> batch);

  /// One part of the model alone, for those who take all tokens through a layer before the next:
  /// layer -1 is the prologue, layer = layers the epilogue up to where its last matrix is about to
  /// be multiplied (observers see that as `before`, nothing is computed). `residual`
  /// [tokens][embedding] is read and written, by the prologue only written. Sequences grow by the
  /// tokens of every call: truncate them before the next layer. Errors: as evaluate's.
  /// Precondition: products are not checked.
  Status evaluate_part(std::span<const BatchToken> batch, std::int64_t layer,
                       std::span<float> residual);

  void add_observer(StepObserver* observer) { observers_.push_back(observer); }
  GuardLevel guard() const { return guard_; }
  const GuardCounters& guard_counters() const { return guard_counters_; }
  /// What to call when a checked product stays wrong; none is set at first.
  void set_weight_repair(WeightRepair repair) { weight_repair_ = std::move(repair); }
  const WeightRepair& weight_repair() const { return weight_repair_; }
  /// Each block of keys and values is verified, and each step computed twice, about once in so many
  /// tokens; 0: the level's own, 64, with full 1.
  void set_guard_every(std::uint32_t tokens);
  std::uint32_t guard_every() const { return guard_every_; }
  const MemoryCounters& memory_counters() const { return memory_counters_; }
  /// Asked at the end of each guarded pass; an error is what evaluate returns.
  void set_health(std::function<Status()> health) { health_ = std::move(health); }
  /// What nobody writes once the executor is made.
  std::vector<std::span<std::uint8_t>> read_only_bytes();
  void clear_observers() { observers_.clear(); }
  std::int64_t max_batch() const { return max_batch_; }
  std::int64_t max_logits() const { return max_logits_; }
  std::uint64_t buffer_bytes() const;
  /// Of buffer_bytes, what grows with the positions attended to.
  static std::uint64_t score_bytes(const Hyperparameters& h, std::int64_t positions, int threads);

 private:
  struct Buffer {
    std::int64_t size = 0;
    std::int64_t stride = 0;
    AlignedBuffer data;
    float* row(std::int64_t token) const { return data.as<float>() + token * stride; }
  };
  /// Rows [first_row, + n_rows) of the tokens from first_token on; a row is (token, query head of a
  /// group).
  struct AttentionGroup {
    std::int64_t first_token;
    std::int64_t first_row;
    int n_rows;
  };

  /// A block of a cache that the pass writes to.
  struct StoredBlock {
    KvCache* cache;
    std::int64_t block;
    bool holds_earlier;  ///< positions of earlier passes
    bool right;          ///< as verified last
  };
  /// A group of rows and a key-value head whose blocks are dealt over threads.
  struct SplitItem {
    AttentionArguments arguments;
    std::array<AttentionRow, kAttentionRows> rows;
    AttentionSpan span;
    std::int64_t first_block;  ///< its first among the blocks of all items
    float* peaks;              ///< [blocks()][n_rows]
    float* sums;               ///< [blocks()][n_rows][attention_sum_floats]
    std::int64_t blocks() const {
      return (span.end - 1) / kAttentionBlock - span.begin / kAttentionBlock + 1;
    }
    /// Positions of a block.
    std::int64_t begin(std::int64_t block) const {
      return std::max((span.begin / kAttentionBlock + block) * kAttentionBlock, span.begin);
    }
    std::int64_t end(std::int64_t block) const {
      return std::min((span.begin / kAttentionBlock + block + 1) * kAttentionBlock, span.end);
    }
  };

  Executor(const Model& model, const Kernels& kernels, ThreadPool& pool)
      : model_(&model), kernels_(&kernels), pool_(&pool) {}
  Status allocate();
  Status allocate_quantized();
  void plan_reads();
  Result<LogitsView> evaluate_once(std::span<const BatchToken> batch, std::int64_t n_logits);
  Result<LogitsView> evaluate_guarded(std::span<const BatchToken> batch, std::int64_t n_logits);
  void note_damage(KvCache* sequence, std::int64_t position);
  void verify_sequences(std::span<const BatchToken> batch);
  Status recompute_damaged();
  void plan_stores();
  template <class F>
  void for_stores(F&& f);
  void verify_before_store(std::int64_t layer);
  void seal_after_store(std::int64_t layer);
  void run_guarded_step(const Step& step, std::int64_t layer);
  Status check_batch(std::span<const BatchToken> batch, std::int64_t& n_logits) const;
  Status reserve_scores(std::span<const BatchToken> batch);
  void place_tokens(std::span<const BatchToken> batch);
  Status begin(std::span<const BatchToken> batch);
  void run_steps(std::span<const Step> steps, std::int64_t layer);
  void run_step(const Step& step, std::int64_t layer);
  void run_linears(std::span<const Step> steps, std::int64_t layer);
  void multiply_group(std::span<const Step> steps, std::int64_t layer, int attempt);
  void multiply_range(std::span<const Step> steps, std::int64_t layer, const ActivationSets& sets,
                      std::int64_t begin, std::int64_t end, int thread);
  Status plan_checks();
  bool checks() const { return guard_ >= GuardLevel::check; }
  std::int32_t* check_sums(int thread, int set) const;
  std::uint64_t checks_due(std::int64_t tokens, std::int64_t logits) const;
  Status finish_checks(std::int64_t n_logits, std::uint64_t checks_before);
  void multiply_elsewhere(std::span<const Step> steps, std::int64_t layer,
                          const ActivationSets& sets, int attempt);
  void run_checked(std::span<const Step> steps, std::int64_t layer);
  bool damaged_floats(std::span<const Step> steps, std::int64_t layer);
  void multiply_guarded(const PackedMatrix& matrix, const ActivationRows& x, int set,
                        std::int64_t begin, std::int64_t end, const Buffer& out, int thread);
  void note_thread(std::int64_t begin, std::int64_t end, int thread);
  std::int64_t count_wrong(const Step& step);
  std::uint32_t summed_by_products(int set, std::int64_t token);
  void quantize_input(const Step& step, const ActivationForm& form, const QuantizedActivations& to);
  QuantizeArguments quantize_arguments(const Step& step, const ActivationForm& form,
                                       const QuantizedActivations& to, std::int64_t t) const;
  void embed(const Step& step);
  void head_norm(const Step& step, std::int64_t layer);
  void apply_rope(const Step& step, std::int64_t layer);
  void attention(const Step& step, std::int64_t layer);
  void group_attention_rows();
  void store_keys_and_values(std::int64_t layer);
  AttentionArguments attention_arguments(const Step& step, std::int64_t layer,
                                         const AttentionGroup& group, std::int64_t head, int thread,
                                         std::array<AttentionRow, kAttentionRows>& rows);
  std::int64_t cache_bytes_read(std::int64_t layer) const;
  bool worth_splitting(const Step& step, std::int64_t layer);
  void attend_split(const Step& step, std::int64_t layer);
  void attend_split_items(std::int64_t blocks);
  void keep_wanted(std::span<const BatchToken> batch);
  template <class F>
  void for_tokens(F&& f);
  StepView view(const Step& step, std::int64_t layer);
  void notify(std::span<const Step> steps, std::int64_t layer, bool after);

  const Model* model_;
  const Kernels* kernels_;
  ThreadPool* pool_;
  GuardLevel guard_ = GuardLevel::off;
  GuardCounters guard_counters_;
  WeightRepair weight_repair_;
  Status guard_failure_;                               ///< of the pass that runs
  std::vector<std::vector<CheckBlock>> check_groups_;  ///< of linear steps, in order of evaluation
  std::span<const CheckBlock> checked_;                ///< of the group that runs
  std::size_t next_check_ = 0;                         ///< in check_groups_
  /// Per thread: [sets][max_batch][kLanes]. They only grow; nobody clears them.
  std::vector<AlignedBuffer> check_sums_;
  std::vector<std::uint32_t> sums_before_;    ///< [sets][max_batch]: their totals when last read
  std::vector<AlignedBuffer> twice_;          ///< per thread: a panel for all tokens
  std::vector<std::int64_t> rows_differ_;     ///< per thread, where they were computed twice
  std::vector<std::uint16_t> panel_threads_;  ///< who computed each panel of the group
  std::uint32_t guard_every_ = 1;
  MemoryCounters memory_counters_;
  std::function<Status()> health_;
  Status step_failure_;                                    ///< of the pass that runs
  std::vector<std::pair<KvCache*, std::int64_t>> damage_;  ///< each with its first wrong position
  std::vector<StoredBlock> stores_;                        ///< of the pass that runs
  std::vector<std::uint8_t> step_copies_;
  std::int64_t max_batch_ = 0;
  std::int64_t max_logits_ = 0;
  std::int64_t n_tokens_ = 0;  ///< rows in use by the step that runs
  Buffer buffers_[kSlotCount];
  /// Per group of linear steps in order of evaluation and per thread: the start of its share.
  std::vector<ReadAhead> reads_;
  std::size_t next_read_ = 0;                 ///< in reads_: of the group after the one that runs
  AlignedBuffer quantized_;                   ///< 8-bit activations of the linear steps that run
  std::vector<AlignedBuffer> pack_scratch_;   ///< one per thread
  std::vector<AlignedBuffer> score_scratch_;  ///< one per thread
  AlignedBuffer split_scratch_;               ///< peaks and sums of the blocks of split items
  std::vector<SplitItem> split_items_;
  std::int64_t score_capacity_ = 0;
  std::vector<AttentionGroup> attention_groups_;
  std::vector<Rope> ropes_;    ///< global, then local
  AlignedBuffer rope_tables_;  ///< [ropes][max_batch][2][pairs]
  std::vector<std::int64_t> positions_;
  std::vector<KvCache*> caches_;
  std::vector<std::int32_t> tokens_;
  std::vector<StepObserver*> observers_;
};

/// Observes for its own life, and clears the executor's observers on every way out.
class Observing {
 public:
  /// Null observes nothing.
  Observing(Executor& executor, StepObserver* observer) : executor_(executor) {
    if (observer != nullptr) executor_.add_observer(observer);
  }
  ~Observing() { executor_.clear_observers(); }
  Observing(const Observing&) = delete;
  Observing& operator=(const Observing&) = delete;

 private:
  Executor& executor_;
};

/// f(token) for every token, on all threads when there are enough of them to be worth a barrier.
template <class F>
void Executor::for_tokens(F&& f) {
  if (n_tokens_ < kFewTokens) {
    for (std::int64_t t = 0; t < n_tokens_; ++t) f(t);
    return;
  }
  pool_->for_ranges(n_tokens_, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) f(t);
  });
}

}  // namespace checkbit
