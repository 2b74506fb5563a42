// The attention step: rows of tokens that share a cache go together; one long row is split over
// threads.

#include <algorithm>
#include <array>
#include <limits>

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

/// Every group of rows reads what its rows see.
std::int64_t Executor::cache_bytes_read(std::int64_t layer) const {
  const Hyperparameters& h = model_->hyperparameters();
  const std::int64_t heads = h.heads / h.key_value_heads;
  std::int64_t bytes = 0;
  for (const AttentionGroup& group : attention_groups_) {
    const auto position = [&](std::int64_t row) {
      return positions_[static_cast<std::size_t>(group.first_token + row / heads)];
    };
    const std::int64_t first = h.first_seen(layer, position(group.first_row));
    const std::int64_t last = position(group.first_row + group.n_rows - 1);
    const CacheType type = caches_[static_cast<std::size_t>(group.first_token)]->type();
    bytes += (last - first + 1) *
             (cache_row_bytes(type, h.head_size) + cache_row_bytes(type, h.value_size));
  }
  return bytes * h.key_value_heads;
}

void Executor::store_keys_and_values(std::int64_t layer) {
  const Hyperparameters& h = model_->hyperparameters();
  const Buffer& key = buffers_[static_cast<int>(Slot::key)];
  const Buffer& value = buffers_[static_cast<int>(Slot::value)];
  verify_before_store(layer);
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
  seal_after_store(layer);
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
    rows[static_cast<std::size_t>(r)] = {in.row(token) + query_head * h.head_size,
                                         out.row(token) + query_head * h.value_size,
                                         h.first_seen(layer, last), last};
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
  a.sum_scratch = a.query_scratch + attention_query_floats(h.head_size);
  return a;
}

void Executor::attention(const Step& step, std::int64_t layer) {
  const Hyperparameters& h = model_->hyperparameters();
  store_keys_and_values(layer);
  const auto items = static_cast<std::int64_t>(attention_groups_.size()) * h.key_value_heads;
  if (items < 2 * pool_->size() && pool_->size() > 1 && worth_splitting(step, layer))
    return attend_split(step, layer);
  const auto attend = [&](std::int64_t begin, std::int64_t end, int thread) {
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
  };
  pool_->for_shares(items, attend, 1);
}

/// Whether some item is so long that its blocks are worth another barrier.
bool Executor::worth_splitting(const Step& step, std::int64_t layer) {
  constexpr std::int64_t kWorthwhile = 4 * kAttentionBlock;
  std::array<AttentionRow, kAttentionRows> rows;
  return std::ranges::any_of(attention_groups_, [&](const AttentionGroup& group) {
    const AttentionSpan span = attention_span(attention_arguments(step, layer, group, 0, 0, rows));
    return span.end - span.begin >= kWorthwhile;
  });
}

/// Few items over all threads, block by block: the same sums in the same order as Kernels::attend.
/// As many items at once as the threads' scratch has room for scores of.
void Executor::attend_split(const Step& step, std::int64_t layer) {
  const Hyperparameters& h = model_->hyperparameters();
  const auto items = static_cast<std::int64_t>(attention_groups_.size()) * h.key_value_heads;
  std::int64_t most_rows = 1;
  for (const AttentionGroup& group : attention_groups_)
    most_rows = std::max<std::int64_t>(most_rows, group.n_rows);
  const std::int64_t to_a_scratch = kAttentionRows / most_rows;
  const std::int64_t at_once = to_a_scratch * pool_->size();
  for (std::int64_t first = 0; first < items; first += at_once) {
    split_items_.resize(static_cast<std::size_t>(std::min(at_once, items - first)));
    std::int64_t blocks = 0;
    float* scratch = split_scratch_.as<float>();
    for (std::int64_t i = 0; i < std::ssize(split_items_); ++i) {
      SplitItem& item = split_items_[static_cast<std::size_t>(i)];
      const AttentionGroup& group =
          attention_groups_[static_cast<std::size_t>((first + i) / h.key_value_heads)];
      item.arguments = attention_arguments(step, layer, group, (first + i) % h.key_value_heads,
                                           static_cast<int>(i / to_a_scratch), item.rows);
      item.arguments.scores += i % to_a_scratch * most_rows * score_capacity_;
      item.span = attention_span(item.arguments);
      item.first_block = blocks;
      blocks += item.blocks();
      const std::int64_t rows = item.blocks() * group.n_rows;
      item.peaks = scratch;
      item.sums = item.peaks + padded(rows);
      scratch = item.sums + rows * attention_sum_floats(h.value_size);
    }
    attend_split_items(blocks);
  }
}

/// All of split_items_, which have so many blocks together.
void Executor::attend_split_items(std::int64_t blocks) {
  /// f(item, its first and end block, thread) for what a thread does of each item.
  const auto for_parts = [&](auto&& f) {
    pool_->for_shares(blocks, [&](std::int64_t begin, std::int64_t end, int thread) {
      for (const SplitItem& item : split_items_) {
        const std::int64_t from = std::max(begin - item.first_block, std::int64_t{0});
        const std::int64_t to = std::min(end - item.first_block, item.blocks());
        if (from < to) f(item, from, to, thread);
      }
    });
  };
  for (const SplitItem& item : split_items_)
    std::fill(item.peaks, item.sums, -std::numeric_limits<float>::infinity());
  for_parts([&](const SplitItem& item, std::int64_t from, std::int64_t to, int thread) {
    AttentionArguments a = item.arguments;
    a.query_scratch = score_scratch_[static_cast<std::size_t>(thread)].as<float>() +
                      kAttentionRows * score_capacity_;
    kernels_->attend_scores(a, item.begin(from), item.end(to - 1), item.peaks + from * a.n_rows);
  });
  for_parts([&](const SplitItem& item, std::int64_t from, std::int64_t to, int) {
    const int n_rows = item.arguments.n_rows;
    float largest[kAttentionRows];
    for (int r = 0; r < n_rows; ++r) {
      largest[r] = item.peaks[r];
      for (std::int64_t block = 1; block < item.blocks(); ++block)
        largest[r] = std::max(largest[r], item.peaks[block * n_rows + r]);
    }
    const std::int64_t block_floats = n_rows * attention_sum_floats(item.arguments.value_size);
    for (std::int64_t block = from; block < to; ++block) {
      kernels_->attend_block(item.arguments, item.begin(block), item.end(block), largest,
                             item.sums + block * block_floats);
    }
  });
  for (const SplitItem& item : split_items_)
    kernels_->attend_combine(item.arguments, item.sums, item.blocks());
}

}  // namespace checkbit
