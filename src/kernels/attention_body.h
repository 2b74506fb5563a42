// Attention of one token over the cache. Included per instruction set.
// Canonical order (docs/numerics.md, "Attention"): a score is one chain of multiply-adds over the
// head's elements; probabilities and weighted values are summed position by position inside blocks
// of kAttentionBlock absolute positions, and the blocks' sums are added in order.

CB_INLINE F32x16 load_cached(const std::uint16_t* p) { return f32_load_half(p); }
CB_INLINE F32x16 load_cached(const float* p) { return f32_load(p); }

/// Scores of 16 positions for kHeads query heads. T: what the cache holds.
template <class T, int kHeads>
CB_INLINE void score_block(const AttentionArguments& a, std::int64_t head, std::int64_t position) {
  F32x16 acc[kHeads];
  for (int h = 0; h < kHeads; ++h) acc[h] = f32_zero();
  const T* keys = static_cast<const T*>(a.keys) + position * a.head_size;
  const float* queries = a.queries + head * a.head_size;
  for (std::int64_t d = 0; d < a.head_size; ++d) {
    const F32x16 k = load_cached(keys + 16 * d);
    CB_UNROLL
    for (int h = 0; h < kHeads; ++h) acc[h] = f32_fma(k, f32_set(queries[h * a.head_size + d]), acc[h]);
  }
  for (int h = 0; h < kHeads; ++h) {
    F32x16 s = acc[h] * f32_set(a.scale);
    if (a.softcap > 0.0f) s = capped(s, a.softcap);
    f32_store(a.scores + (head + h) * a.score_stride + position, s);
  }
}

template <class T>
CB_INLINE void score_all(const AttentionArguments& a, std::int64_t begin, std::int64_t end) {
  for (std::int64_t position = begin; position < end; position += 16) {
    std::int64_t head = 0;
    for (; head + 4 <= a.n_heads; head += 4) score_block<T, 4>(a, head, position);
    for (; head + 2 <= a.n_heads; head += 2) score_block<T, 2>(a, head, position);
    for (; head < a.n_heads; ++head) score_block<T, 1>(a, head, position);
  }
}

/// Turns one head's scores into unnormalized probabilities; returns their sum.
CB_INLINE float softmax_numerators(const AttentionArguments& a, std::int64_t begin, std::int64_t end, float* scores) {
  for (std::int64_t p = begin; p < a.first_position; ++p) scores[p] = -INFINITY;
  for (std::int64_t p = a.last_position + 1; p < end; ++p) scores[p] = -INFINITY;
  F32x16 peaks = f32_set(-INFINITY);
  for (std::int64_t p = begin; p < end; p += 16) peaks = f32_max(peaks, f32_load(scores + p));
  const F32x16 peak = f32_set(f32_maximum(peaks));
  F32x16 total = f32_zero();
  for (std::int64_t block = begin; block < end;) {
    const std::int64_t block_limit = (block / kAttentionBlock + 1) * kAttentionBlock;
    const std::int64_t block_end = block_limit < end ? block_limit : end;
    F32x16 sum = f32_zero();
    for (; block < block_end; block += 16) {
      const F32x16 e = vector_exp(f32_load(scores + block) - peak);
      f32_store(scores + block, e);
      sum = sum + e;
    }
    total = total + sum;
  }
  return f32_sum(total);
}

/// Weighted sum of values, kVectors * 16 elements of each from `element`, for kHeads heads.
template <class T, int kHeads, int kVectors>
CB_INLINE void weigh_values(const AttentionArguments& a, std::int64_t head, std::int64_t element, const float* sums) {
  F32x16 total[kHeads][kVectors];
  for (int h = 0; h < kHeads; ++h) {
    for (int v = 0; v < kVectors; ++v) total[h][v] = f32_zero();
  }
  for (std::int64_t p = a.first_position; p <= a.last_position;) {
    const std::int64_t block_limit = (p / kAttentionBlock + 1) * kAttentionBlock;
    const std::int64_t block_end = block_limit <= a.last_position ? block_limit : a.last_position + 1;
    F32x16 sum[kHeads][kVectors];
    for (int h = 0; h < kHeads; ++h) {
      for (int v = 0; v < kVectors; ++v) sum[h][v] = f32_zero();
    }
    for (; p < block_end; ++p) {
      const T* value = static_cast<const T*>(a.values) + p * a.value_size + element;
      CB_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        const F32x16 x = load_cached(value + 16 * v);
        CB_UNROLL
        for (int h = 0; h < kHeads; ++h) {
          sum[h][v] = f32_fma(x, f32_set(a.scores[(head + h) * a.score_stride + p]), sum[h][v]);
        }
      }
    }
    for (int h = 0; h < kHeads; ++h) {
      for (int v = 0; v < kVectors; ++v) total[h][v] = total[h][v] + sum[h][v];
    }
  }
  for (int h = 0; h < kHeads; ++h) {
    const F32x16 inverse = f32_set(1.0f / sums[head + h]);
    for (int v = 0; v < kVectors; ++v) {
      f32_store(a.out + (head + h) * a.value_size + element + 16 * v, total[h][v] * inverse);
    }
  }
}

template <class T, int kHeads>
CB_INLINE void weigh_heads(const AttentionArguments& a, std::int64_t head, const float* sums) {
  std::int64_t element = 0;
  for (; element + 64 <= a.value_size; element += 64) weigh_values<T, kHeads, 4>(a, head, element, sums);
  for (; element < a.value_size; element += 16) weigh_values<T, kHeads, 1>(a, head, element, sums);
}

/// Heads are taken at most kMaxHeads at a time, so the sums need no allocation.
template <class T>
CB_INLINE void attend_heads(const AttentionArguments& a) {
  const std::int64_t begin = a.first_position / 16 * 16;
  const std::int64_t end = (a.last_position / 16 + 1) * 16;
  float sums[16];
  score_all<T>(a, begin, end);
  for (std::int64_t h = 0; h < a.n_heads; ++h) {
    sums[h] = softmax_numerators(a, begin, end, a.scores + h * a.score_stride);
  }
  std::int64_t head = 0;
  for (; head + 4 <= a.n_heads; head += 4) weigh_heads<T, 4>(a, head, sums);
  for (; head + 2 <= a.n_heads; head += 2) weigh_heads<T, 2>(a, head, sums);
  for (; head < a.n_heads; ++head) weigh_heads<T, 1>(a, head, sums);
}

void attend(const AttentionArguments& a) {
  constexpr std::int64_t kMaxHeads = 16;
  for (std::int64_t head = 0; head < a.n_heads; head += kMaxHeads) {
    AttentionArguments part = a;
    part.n_heads = a.n_heads - head < kMaxHeads ? a.n_heads - head : kMaxHeads;
    part.queries = a.queries + head * a.head_size;
    part.out = a.out + head * a.value_size;
    part.cache_type == CacheType::f16 ? attend_heads<std::uint16_t>(part) : attend_heads<float>(part);
  }
}

CB_INLINE void store_cached(std::uint16_t* p, F32x16 x) { f32_store_half(p, x); }
CB_INLINE void store_cached(float* p, F32x16 x) { f32_store(p, x); }

template <class T>
CB_INLINE void store_key_value_as(const KeyValueStore& s) {
  T* key = static_cast<T*>(s.keys) + s.position / 16 * 16 * s.head_size + s.position % 16;
  for (std::int64_t d = 0; d < s.head_size; d += 16) {
    const int lanes = lanes_left(s.head_size, d);
    T element[16];
    store_cached(element, f32_load_partial(s.key + d, lanes));
    for (int i = 0; i < lanes; ++i) key[16 * (d + i)] = element[i];
  }
  T* value = static_cast<T*>(s.values) + s.position * s.value_size;
  for (std::int64_t d = 0; d < s.value_size; d += 16) store_cached(value + d, f32_load(s.value + d));
}

void store_key_value(const KeyValueStore& s) {
  s.cache_type == CacheType::f16 ? store_key_value_as<std::uint16_t>(s) : store_key_value_as<float>(s);
}
