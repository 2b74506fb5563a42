// Scores of a few rows against a head's cached keys, 16 positions at a time. Included per
// instruction set. Canonical order: docs/numerics.md, "Attention". Rows share reads and nothing
// else.

CB_INLINE F32x16 load_cached(const std::uint16_t* p) { return f32_load_half(p); }
CB_INLINE F32x16 load_cached(const float* p) { return f32_load(p); }
CB_INLINE F32x16 load_cached(const std::int8_t* p) {
  return f32_from_i32(i32_load_i8(reinterpret_cast<const std::uint8_t*>(p)));
}

CB_INLINE const std::uint8_t* key_block(const AttentionArguments& a, std::int64_t position) {
  return static_cast<const std::uint8_t*>(a.keys) +
         cache_bytes(a.cache_type, a.head_size, position);
}

/// Of x[n], n <= 32; NaN when one of them is not finite.
CB_INLINE float largest_magnitude(const float* x, int n) {
  const F32x16 low = f32_abs(f32_load_partial(x, n < 16 ? n : 16));
  const F32x16 high = n <= 16 ? f32_zero() : f32_abs(f32_load_partial(x + 16, n - 16));
  // Zero times infinity or NaN is NaN, which the sum keeps and a maximum need not.
  return f32_maximum(f32_max(low, high)) + f32_sum((low + high) * f32_zero());
}

/// The query of row `r`, or of the last where there is none.
CB_INLINE const float* query_of(const AttentionArguments& a, int r) {
  return a.rows[r < a.n_rows ? r : a.n_rows - 1].query;
}

/// Scores and stores of 16 positions from their sums of products.
template <int kRows>
CB_INLINE void finish_scores(const AttentionArguments& a, int row, std::int64_t position,
                             const F32x16 (&sums)[kRows]) {
  for (int r = 0; r < kRows && row + r < a.n_rows; ++r) {
    F32x16 s = sums[r] * f32_set(a.scale);
    if (a.softcap > 0.0f) s = capped(s, a.softcap);
    f32_store(a.scores + (row + r) * a.score_stride + position, s);
  }
}

/// Scores of positions [begin, end) for rows [row, row + kRows); what stands beyond n_rows repeats
/// the last.
template <class T, int kRows>
CB_INLINE void score_rows(const AttentionArguments& a, int row, std::int64_t begin,
                          std::int64_t end) {
  float* queries = a.query_scratch;  // [head_size][kRows]: one stream of broadcasts
  for (int r = 0; r < kRows; ++r) {
    const float* query = query_of(a, row + r);
    for (std::int64_t d = 0; d < a.head_size; ++d) queries[d * kRows + r] = query[d];
  }
  for (std::int64_t position = begin; position < end; position += kCacheBlock) {
    F32x16 acc[kRows];
    CB_UNROLL
    for (int r = 0; r < kRows; ++r) acc[r] = f32_zero();
    const T* keys = reinterpret_cast<const T*>(key_block(a, position));
    for (std::int64_t d = 0; d < a.head_size; ++d) {
      const F32x16 k = load_cached(keys + 16 * d);
      CB_UNROLL
      for (int r = 0; r < kRows; ++r) acc[r] = f32_fma(k, f32_set(queries[d * kRows + r]), acc[r]);
    }
    finish_scores(a, row, position, acc);
  }
}

/// Queries in 16 bits: pairs of elements [groups][16][kRows], then scales [groups][kRows].
template <int kRows>
struct RoundedQueries {
  [[gnu::always_inline]] RoundedQueries(const AttentionArguments& a, int row)
      : pairs(reinterpret_cast<std::int32_t*>(a.query_scratch)),
        scales(a.query_scratch + cache_groups(a.head_size) * 16 * kRows) {
    for (int r = 0; r < kRows; ++r) {
      const float* query = query_of(a, row + r);
      for (std::int64_t d = 0; d < a.head_size; d += kCacheGroup) {
        const std::int64_t left = a.head_size - d;
        round_group(query + d, static_cast<int>(left < kCacheGroup ? left : kCacheGroup),
                    pairs + d / 2 * kRows + r, scales + d / kCacheGroup * kRows + r);
      }
    }
  }
  std::int32_t* pairs;
  float* scales;

 private:
  [[gnu::always_inline]] static void round_group(const float* x, int n, std::int32_t* pairs,
                                                 float* scale) {
    constexpr float kLargest = 32767;
    const float largest = largest_magnitude(x, n);
    const F32x16 inverse = f32_set(largest > 0.0f ? kLargest / largest : 0.0f);
    std::int32_t q[kCacheGroup] = {};
    for (int i = 0; i < n; i += 16)
      i32_store(q + i, i32_round(f32_load_partial(x + i, lanes_left(n, i)) * inverse));
    for (int i = 0; i < kCacheGroup; i += 2) {
      pairs[i / 2 * kRows] =
          static_cast<std::int32_t>((static_cast<std::uint32_t>(q[i]) & 0xffffu) |
                                    static_cast<std::uint32_t>(q[i + 1]) << 16);
    }
    *scale = largest / kLargest;
  }
};

/// score_rows for keys in 8 bits: integer sums inside a group, groups added in order.
template <int kRows>
CB_INLINE void score_rows_q8(const AttentionArguments& a, int row, std::int64_t begin,
                             std::int64_t end) {
  const RoundedQueries<kRows> queries(a, row);
  const std::int64_t groups = cache_groups(a.head_size);
  for (std::int64_t position = begin; position < end; position += kCacheBlock) {
    const std::uint8_t* keys = key_block(a, position);
    const auto* scales =
        reinterpret_cast<const std::uint16_t*>(keys + groups * kCacheGroup * kCacheBlock);
    F32x16 acc[kRows];
    CB_UNROLL
    for (int r = 0; r < kRows; ++r) acc[r] = f32_zero();
    for (std::int64_t g = 0; g < groups; ++g) {
      I32x16 sums[kRows];
      CB_UNROLL
      for (int r = 0; r < kRows; ++r) sums[r] = i32_zero();
      const std::int32_t* pairs = queries.pairs + g * 16 * kRows;
      CB_UNROLL
      for (int i = 0; i < 16; ++i) {
        const I16x32 k = i16_load_i8(keys + 32 * i);
        CB_UNROLL
        for (int r = 0; r < kRows; ++r) sums[r] = dot_pairs(sums[r], k, pairs[i * kRows + r]);
      }
      keys += kCacheGroup * kCacheBlock;
      const F32x16 scale = f32_load_half(scales + 16 * g);
      CB_UNROLL
      for (int r = 0; r < kRows; ++r) {
        acc[r] =
            f32_fma(f32_from_i32(sums[r]), scale * f32_set(queries.scales[g * kRows + r]), acc[r]);
      }
    }
    finish_scores(a, row, position, acc);
  }
}

template <int kRows>
CB_INLINE void score_rows_of_any(const AttentionArguments& a, std::int64_t begin,
                                 std::int64_t end) {
  switch (a.cache_type) {
    case CacheType::f16:
      return score_rows<std::uint16_t, kRows>(a, 0, begin, end);
    case CacheType::q8_0:
      return score_rows_q8<kRows>(a, 0, begin, end);
    case CacheType::f32:
      return score_rows<float, kRows>(a, 0, begin, end);
  }
}
