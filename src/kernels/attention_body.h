// Attention of a few rows (a row is one query head of one token) over one head's cache. Included
// per instruction set. Canonical order (docs/numerics.md, "Attention"): a score is one chain of
// multiply-adds over the head's elements; probabilities and weighted values are summed position by
// position inside blocks of kAttentionBlock absolute positions, and the blocks' sums are added in
// order. Rows share reads of keys and values and nothing else.

CB_INLINE F32x16 load_cached(const std::uint16_t* p) { return f32_load_half(p); }
CB_INLINE F32x16 load_cached(const float* p) { return f32_load(p); }

/// Scores of positions [begin, end) for rows [row, row + kRows); what stands beyond n_rows repeats
/// the last.
template <class T, int kRows>
CB_INLINE void score_rows(const AttentionArguments& a, int row, std::int64_t begin,
                          std::int64_t end) {
  float* queries = a.query_scratch;  // [head_size][kRows]: one stream of broadcasts
  for (int r = 0; r < kRows; ++r) {
    const float* query = a.rows[row + r < a.n_rows ? row + r : a.n_rows - 1].query;
    for (std::int64_t d = 0; d < a.head_size; ++d) queries[d * kRows + r] = query[d];
  }
  for (std::int64_t position = begin; position < end; position += 16) {
    F32x16 acc[kRows];
    CB_UNROLL
    for (int r = 0; r < kRows; ++r) acc[r] = f32_zero();
    const T* keys = static_cast<const T*>(a.keys) + position * a.head_size;
    for (std::int64_t d = 0; d < a.head_size; ++d) {
      const F32x16 k = load_cached(keys + 16 * d);
      CB_UNROLL
      for (int r = 0; r < kRows; ++r) acc[r] = f32_fma(k, f32_set(queries[d * kRows + r]), acc[r]);
    }
    for (int r = 0; r < kRows && row + r < a.n_rows; ++r) {
      F32x16 s = acc[r] * f32_set(a.scale);
      if (a.softcap > 0.0f) s = capped(s, a.softcap);
      f32_store(a.scores + (row + r) * a.score_stride + position, s);
    }
  }
}

/// Hides positions that the row does not see; returns the largest score of [begin, end), NaN left
/// out.
CB_INLINE float mask_and_peak(const AttentionRow& row, std::int64_t begin, std::int64_t end,
                              float* scores) {
  for (std::int64_t p = begin; p < end && p < row.first; ++p) scores[p] = -INFINITY;
  for (std::int64_t p = row.last + 1 > begin ? row.last + 1 : begin; p < end; ++p)
    scores[p] = -INFINITY;
  F32x16 peaks = f32_set(-INFINITY);
  for (std::int64_t p = begin; p < end; p += 16) peaks = f32_max(f32_load(scores + p), peaks);
  return f32_maximum(peaks);
}

void attend_scores(const AttentionArguments& a, std::int64_t begin, std::int64_t end,
                   float* peaks) {
  const bool half = a.cache_type == CacheType::f16;
  if (a.n_rows > 4) {
    half ? score_rows<std::uint16_t, 8>(a, 0, begin, end) : score_rows<float, 8>(a, 0, begin, end);
  } else {
    half ? score_rows<std::uint16_t, 4>(a, 0, begin, end) : score_rows<float, 4>(a, 0, begin, end);
  }
  for (int r = 0; r < a.n_rows; ++r)
    peaks[r] = mask_and_peak(a.rows[r], begin, end, a.scores + r * a.score_stride);
}

/// Turns scores of [begin, end), inside one block, into unnormalized probabilities; returns lane
/// sums.
CB_INLINE F32x16 exponential_scores(float* scores, float peak, std::int64_t begin,
                                    std::int64_t end) {
  F32x16 sum = f32_zero();
  for (std::int64_t p = begin; p < end; p += 16) {
    const F32x16 e = vector_exp(f32_load(scores + p) - f32_set(peak));
    f32_store(scores + p, e);
    sum = sum + e;
  }
  return sum;
}

/// Weighted sums of values over [begin, end), inside one block: kVectors * 16 elements from
/// `element`, for rows [row, row + kRows). A row adds the positions it sees and no other.
template <class T, int kRows, int kVectors>
CB_INLINE void weigh_values(const AttentionArguments& a, int row, std::int64_t element,
                            std::int64_t begin, std::int64_t end, float* sums) {
  std::int64_t common_begin = begin, common_end = end;
  for (int r = 0; r < kRows; ++r) {
    const AttentionRow& seen = a.rows[row + r];
    common_begin = seen.first > common_begin ? seen.first : common_begin;
    common_end = seen.last + 1 < common_end ? seen.last + 1 : common_end;
  }
  if (common_begin > common_end) common_begin = common_end = begin;
  F32x16 sum[kRows][kVectors];
  CB_UNROLL
  for (int r = 0; r < kRows; ++r) {
    CB_UNROLL
    for (int v = 0; v < kVectors; ++v) sum[r][v] = f32_zero();
  }
  const float* scores = a.scores + row * a.score_stride;
  const T* values = static_cast<const T*>(a.values) + element;
  const auto guarded = [&](std::int64_t from, std::int64_t to) {
    for (std::int64_t p = from; p < to; ++p) {
      CB_UNROLL
      for (int r = 0; r < kRows; ++r) {
        if (p < a.rows[row + r].first || p > a.rows[row + r].last) continue;
        const F32x16 weight = f32_set(scores[r * a.score_stride + p]);
        CB_UNROLL
        for (int v = 0; v < kVectors; ++v)
          sum[r][v] = f32_fma(load_cached(values + p * a.value_size + 16 * v), weight, sum[r][v]);
      }
    }
  };
  guarded(begin, common_begin);
  for (std::int64_t p = common_begin; p < common_end; ++p) {
    F32x16 x[kVectors];
    CB_UNROLL
    for (int v = 0; v < kVectors; ++v) x[v] = load_cached(values + p * a.value_size + 16 * v);
    CB_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const F32x16 weight = f32_set(scores[r * a.score_stride + p]);
      CB_UNROLL
      for (int v = 0; v < kVectors; ++v) sum[r][v] = f32_fma(x[v], weight, sum[r][v]);
    }
  }
  guarded(common_end, end);
  const std::int64_t stride = attention_sum_floats(a.value_size);
  for (int r = 0; r < kRows; ++r) {
    CB_UNROLL
    for (int v = 0; v < kVectors; ++v)
      f32_store(sums + (row + r) * stride + 16 + element + 16 * v, sum[r][v]);
  }
}

template <class T, int kRows>
CB_INLINE void weigh_rows(const AttentionArguments& a, int row, std::int64_t begin,
                          std::int64_t end, float* sums) {
  std::int64_t element = 0;
  for (; element + 64 <= a.value_size; element += 64)
    weigh_values<T, kRows, 4>(a, row, element, begin, end, sums);
  for (; element < a.value_size; element += 16)
    weigh_values<T, kRows, 1>(a, row, element, begin, end, sums);
}

template <class T>
CB_INLINE void weigh_block(const AttentionArguments& a, std::int64_t begin, std::int64_t end,
                           float* sums) {
  int row = 0;
  for (; row + 4 <= a.n_rows; row += 4) weigh_rows<T, 4>(a, row, begin, end, sums);
  for (; row + 2 <= a.n_rows; row += 2) weigh_rows<T, 2>(a, row, begin, end, sums);
  for (; row < a.n_rows; ++row) weigh_rows<T, 1>(a, row, begin, end, sums);
}

void attend_block(const AttentionArguments& a, std::int64_t begin, std::int64_t end,
                  const float* peaks, float* sums) {
  for (int r = 0; r < a.n_rows; ++r) {
    f32_store(sums + r * attention_sum_floats(a.value_size),
              exponential_scores(a.scores + r * a.score_stride, peaks[r], begin, end));
  }
  a.cache_type == CacheType::f16 ? weigh_block<std::uint16_t>(a, begin, end, sums)
                                 : weigh_block<float>(a, begin, end, sums);
}

CB_INLINE void add_sums(const AttentionArguments& a, const float* sums, float* totals) {
  for (std::int64_t i = 0; i < a.n_rows * attention_sum_floats(a.value_size); i += 16) {
    f32_store(totals + i, f32_load(totals + i) + f32_load(sums + i));
  }
}

CB_INLINE void finish_rows(const AttentionArguments& a, const float* totals) {
  for (int r = 0; r < a.n_rows; ++r) {
    const float* row = totals + r * attention_sum_floats(a.value_size);
    const F32x16 inverse = f32_set(1.0f / f32_sum(f32_load(row)));
    for (std::int64_t d = 0; d < a.value_size; d += 16)
      f32_store(a.rows[r].out + d, f32_load(row + 16 + d) * inverse);
  }
}

void attend_combine(const AttentionArguments& a, const float* sums, std::int64_t n_blocks) {
  const std::int64_t size = a.n_rows * attention_sum_floats(a.value_size);
  float* totals = a.sum_scratch;
  for (std::int64_t i = 0; i < size; ++i) totals[i] = 0;
  for (std::int64_t block = 0; block < n_blocks; ++block) add_sums(a, sums + block * size, totals);
  finish_rows(a, totals);
}

void attend(const AttentionArguments& a) {
  const AttentionSpan span = attention_span(a);
  float peaks[kAttentionRows];
  attend_scores(a, span.begin, span.end, peaks);
  const std::int64_t size = a.n_rows * attention_sum_floats(a.value_size);
  float* totals = a.sum_scratch;
  for (std::int64_t i = 0; i < size; ++i) totals[i] = 0;
  for (std::int64_t block = span.begin; block < span.end;) {
    const std::int64_t limit = (block / kAttentionBlock + 1) * kAttentionBlock;
    const std::int64_t block_end = limit < span.end ? limit : span.end;
    attend_block(a, block, block_end, peaks, totals + size);
    add_sums(a, totals + size, totals);
    block = block_end;
  }
  finish_rows(a, totals);
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
  for (std::int64_t d = 0; d < s.value_size; d += 16)
    store_cached(value + d, f32_load(s.value + d));
}

void store_key_value(const KeyValueStore& s) {
  s.cache_type == CacheType::f16 ? store_key_value_as<std::uint16_t>(s)
                                 : store_key_value_as<float>(s);
}
