// The attention step: rows of tokens that share a cache go together; one long row is split over
// threads.

#include <algorithm>
#include <array>

#include "arch/executor.h"

namespace checkbit {

/// Consecutive tokens of one sequence, cut into groups of at most kAttentionRows (token, query
/// head) rows.
void Executor::group_attention_rows() {
  const Hyperparameters& h = model_->hyperparameters();
  const std::int64_t heads = h.heads / h.key_value_heads;
  attention_groups_.clear();
  for (std::int64_t token = 0; token < n_tokens_;) {
    std::int64_t end = token + 1;
    while (end < n_tokens_ &&
           caches_[static_cast<std::size_t>(end)] == caches_[static_cast<std::size_t>(token)])
      ++end;
    const std::int64_t rows = (end - token) * heads;
    for (std::int64_t row = 0; row < rows; row += kAttentionRows) {
      attention_groups_.push_back(
          {token, row, static_cast<int>(std::min<std::int64_t>(kAttentionRows, rows - row))});
    }
    token = end;
  }
}

void Executor::store_keys_and_values(std::int64_t layer) {
  const Hyperparameters& h = model_->hyperparameters();
  const Buffer& key = buffers_[static_cast<int>(Slot::key)];
  const Buffer& value = buffers_[static_cast<int>(Slot::value)];
  for_tokens([&](std::int64_t t) {
    const auto token = static_cast<std::size_t>(t);
    for (std::int64_t head = 0; head < h.key_value_heads; ++head) {
      KeyValueStore s;
      s.cache_type = caches_[token]->type();
      s.key = key.row(t) + head * h.head_size;
      s.value = value.row(t) + head * h.value_size;
      s.head_size = h.head_size;
      s.value_size = h.value_size;
      s.position = positions_[token];
      s.keys = caches_[token]->keys(layer, head);
      s.values = caches_[token]->values(layer, head);
      kernels_->store_key_value(s);
    }
  });
}

/// The arguments of one group and key-value head; `rows` is filled and must outlive them.
AttentionArguments Executor::attention_arguments(const Step& step, std::int64_t layer,
                                                 const AttentionGroup& group, std::int64_t head,
                                                 int thread,
                                                 std::array<AttentionRow, kAttentionRows>& rows) {
  const Hyperparameters& h = model_->hyperparameters();
  const std::int64_t heads = h.heads / h.key_value_heads;
  const Buffer& in = buffers_[static_cast<int>(step.in)];
  const Buffer& out = buffers_[static_cast<int>(step.out)];
  for (int r = 0; r < group.n_rows; ++r) {
    const std::int64_t token = group.first_token + (group.first_row + r) / heads;
    const std::int64_t query_head = head * heads + (group.first_row + r) % heads;
    const std::int64_t last = positions_[static_cast<std::size_t>(token)];
    rows[static_cast<std::size_t>(r)] = {
        in.row(token) + query_head * h.head_size, out.row(token) + query_head * h.value_size,
        h.is_sliding(layer) ? std::max<std::int64_t>(0, last - h.sliding_window + 1) : 0, last};
  }
  const KvCache& cache = *caches_[static_cast<std::size_t>(group.first_token)];
  const AlignedBuffer& scratch = score_scratch_[static_cast<std::size_t>(thread)];
  AttentionArguments a;
  a.cache_type = cache.type();
  a.rows = rows.data();
  a.n_rows = group.n_rows;
  a.head_size = h.head_size;
  a.value_size = h.value_size;
  a.keys = cache.keys(layer, head);
  a.values = cache.values(layer, head);
  a.scale = h.attention_scale;
  a.softcap = h.attention_softcap;
  a.scores = scratch.as<float>();
  a.score_stride = score_capacity_;
  a.query_scratch = a.scores + kAttentionRows * score_capacity_;
  a.sum_scratch = a.query_scratch + kAttentionRows * h.head_size;
  return a;
}

void Executor::attention(const Step& step, std::int64_t layer) {
  const Hyperparameters& h = model_->hyperparameters();
  store_keys_and_values(layer);
  const auto items = static_cast<std::int64_t>(attention_groups_.size()) * h.key_value_heads;
  // Longer than this, scores and sums of one item are worth two barriers.
  constexpr std::int64_t kWorthSplitting = 4 * kAttentionBlock;
  if (items < 2 * pool_->size() && pool_->size() > 1) {
    std::array<AttentionRow, kAttentionRows> rows;
    const AttentionSpan span =
        attention_span(attention_arguments(step, layer, attention_groups_[0], 0, 0, rows));
    if (span.end - span.begin >= kWorthSplitting) {
      for (const AttentionGroup& group : attention_groups_) {
        for (std::int64_t head = 0; head < h.key_value_heads; ++head)
          attend_split(step, layer, group, head);
      }
      return;
    }
  }
  pool_->for_shares(items, [&](std::int64_t begin, std::int64_t end, int thread) {
    std::array<AttentionRow, kAttentionRows> rows;
    for (std::int64_t i = begin; i < end; ++i) {
      // Later tokens attend to more positions: one from the front, one from the back, so that
      // shares weigh the same.
      const std::int64_t item = i % 2 == 0 ? i / 2 : items - 1 - i / 2;
      const AttentionGroup& group =
          attention_groups_[static_cast<std::size_t>(item / h.key_value_heads)];
      kernels_->attend(
          attention_arguments(step, layer, group, item % h.key_value_heads, thread, rows));
    }
  });
}

/// One item over all threads, block by block: the same sums in the same order as Kernels::attend.
void Executor::attend_split(const Step& step, std::int64_t layer, const AttentionGroup& group,
                            std::int64_t head) {
  const Hyperparameters& h = model_->hyperparameters();
  std::array<AttentionRow, kAttentionRows> rows;
  AttentionArguments shared = attention_arguments(step, layer, group, head, 0, rows);
  const AttentionSpan span = attention_span(shared);
  const std::int64_t first_block = span.begin / kAttentionBlock;
  const std::int64_t n_blocks = (span.end - 1) / kAttentionBlock - first_block + 1;
  const std::int64_t block_sums = group.n_rows * attention_sum_floats(h.value_size);
  float* peaks = split_scratch_.as<float>();
  float* sums = peaks + n_blocks * kAttentionRows;
  const auto for_blocks = [&](auto&& f) {
    pool_->run([&](int thread, int threads) {
      AttentionArguments a = shared;
      a.query_scratch = score_scratch_[static_cast<std::size_t>(thread)].as<float>() +
                        kAttentionRows * score_capacity_;
      for (std::int64_t block = n_blocks * thread / threads;
           block < n_blocks * (thread + 1) / threads; ++block) {
        const std::int64_t begin = std::max((first_block + block) * kAttentionBlock, span.begin);
        f(a, block, begin, std::min((first_block + block + 1) * kAttentionBlock, span.end));
      }
    });
  };
  for_blocks(
      [&](const AttentionArguments& a, std::int64_t block, std::int64_t begin, std::int64_t end) {
        kernels_->attend_scores(a, begin, end, peaks + block * kAttentionRows);
      });
  std::array<float, kAttentionRows> largest;
  for (int r = 0; r < group.n_rows; ++r) {
    largest[static_cast<std::size_t>(r)] = peaks[r];
    for (std::int64_t block = 1; block < n_blocks; ++block) {
      largest[static_cast<std::size_t>(r)] =
          std::max(largest[static_cast<std::size_t>(r)], peaks[block * kAttentionRows + r]);
    }
  }
  for_blocks(
      [&](const AttentionArguments& a, std::int64_t block, std::int64_t begin, std::int64_t end) {
        kernels_->attend_block(a, begin, end, largest.data(), sums + block * block_sums);
      });
  kernels_->attend_combine(shared, sums, n_blocks);
}

}  // namespace checkbit
