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

/// Scores and stores of 16 positions from their sums of products.
template <int kRows>
CB_INLINE void finish_scores(const AttentionArguments& a, std::int64_t position,
                             const F32x16 (&sums)[kRows]) {
  for (int r = 0; r < kRows; ++r) {
    F32x16 s = sums[r] * f32_set(a.scale);
    if (a.softcap > 0.0f) s = capped(s, a.softcap);
    f32_store(a.scores + r * a.score_stride + position, s);
  }
}

/// f(position, how many blocks of 16) over [begin, end): few rows take two blocks at a time, or
/// every sum would wait for itself.
template <int kRows, class F>
CB_INLINE void for_key_blocks(std::int64_t begin, std::int64_t end, F&& f) {
  if constexpr (kRows <= 4) {
    for (; begin + 2 * kCacheBlock <= end; begin += 2 * kCacheBlock)
      f(begin, std::integral_constant<int, 2>{});
  }
  for (; begin < end; begin += kCacheBlock) f(begin, std::integral_constant<int, 1>{});
}

/// `queries` [head_size][kRows]: one stream of broadcasts.
template <class T, int kRows, int kBlocks>
CB_INLINE void score_block(const AttentionArguments& a, const float* queries,
                           std::int64_t position) {
  F32x16 acc[kBlocks][kRows];
  const T* keys[kBlocks];
  CB_UNROLL
  for (int b = 0; b < kBlocks; ++b) {
    keys[b] = reinterpret_cast<const T*>(key_block(a, position + b * kCacheBlock));
    CB_UNROLL
    for (int r = 0; r < kRows; ++r) acc[b][r] = f32_zero();
  }
  OtherChains<kRows, (CB_CHAINS > 1 && kRows <= 4)> others[kBlocks];
  CB_UNROLL_CHAINS
  for (std::int64_t d = 0; d < a.head_size; ++d) {
    CB_UNROLL
    for (int b = 0; b < kBlocks; ++b) {
      const F32x16 k = load_cached(keys[b] + 16 * d);
      CB_UNROLL
      for (int r = 0; r < kRows; ++r)
        acc[b][r] = f32_fma(k, f32_set(queries[d * kRows + r]), acc[b][r]);
      others[b].next(acc[b]);
    }
  }
  CB_UNROLL
  for (int b = 0; b < kBlocks; ++b) {
    others[b].add_to(acc[b]);
    finish_scores(a, position + b * kCacheBlock, acc[b]);
  }
}

/// Scores of positions [begin, end) for all rows, which are kRows.
template <class T, int kRows>
CB_INLINE void score_rows(const AttentionArguments& a, std::int64_t begin, std::int64_t end) {
  float* queries = a.query_scratch;
  for (int r = 0; r < kRows; ++r) {
    for (std::int64_t d = 0; d < a.head_size; ++d) queries[d * kRows + r] = a.rows[r].query[d];
  }
  for_key_blocks<kRows>(begin, end, [&](std::int64_t position, auto blocks) {
    score_block<T, kRows, blocks()>(a, queries, position);
  });
}

/// Queries in 16 bits: pairs of elements [groups][16][kRows], then scales [groups][kRows].
template <int kRows>
struct RoundedQueries {
  [[gnu::always_inline]] explicit RoundedQueries(const AttentionArguments& a)
      : pairs(reinterpret_cast<std::int32_t*>(a.query_scratch)),
        scales(a.query_scratch + cache_groups(a.head_size) * 16 * kRows) {
    for (int r = 0; r < kRows; ++r) {
      const float* query = a.rows[r].query;
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

/// score_block for keys in 8 bits: integer sums inside a group, groups added in order.
template <int kRows, int kBlocks>
CB_INLINE void score_block_q8(const AttentionArguments& a, const RoundedQueries<kRows>& queries,
                              std::int64_t position) {
  const std::int64_t groups = cache_groups(a.head_size);
  F32x16 acc[kBlocks][kRows];
  const std::uint8_t* keys[kBlocks];
  const std::uint16_t* scales[kBlocks];
  CB_UNROLL
  for (int b = 0; b < kBlocks; ++b) {
    keys[b] = key_block(a, position + b * kCacheBlock);
    scales[b] =
        reinterpret_cast<const std::uint16_t*>(keys[b] + groups * kCacheGroup * kCacheBlock);
    CB_UNROLL
    for (int r = 0; r < kRows; ++r) acc[b][r] = f32_zero();
  }
  for (std::int64_t g = 0; g < groups; ++g) {
    I32x16 sums[kBlocks][kRows];
    CB_UNROLL
    for (int b = 0; b < kBlocks; ++b) {
      CB_UNROLL
      for (int r = 0; r < kRows; ++r) sums[b][r] = i32_zero();
    }
    const std::int32_t* pairs = queries.pairs + g * 16 * kRows;
    CB_UNROLL
    for (int i = 0; i < 16; ++i) {
      CB_UNROLL
      for (int b = 0; b < kBlocks; ++b) {
        const I16x32 k = i16_load_i8(keys[b] + g * kCacheGroup * kCacheBlock + 32 * i);
        CB_UNROLL
        for (int r = 0; r < kRows; ++r) sums[b][r] = dot_pairs(sums[b][r], k, pairs[i * kRows + r]);
      }
    }
    CB_UNROLL
    for (int b = 0; b < kBlocks; ++b) {
      const F32x16 scale = f32_load_half(scales[b] + 16 * g);
      CB_UNROLL
      for (int r = 0; r < kRows; ++r) {
        acc[b][r] = f32_fma(f32_from_i32(sums[b][r]),
                            scale * f32_set(queries.scales[g * kRows + r]), acc[b][r]);
      }
    }
  }
  CB_UNROLL
  for (int b = 0; b < kBlocks; ++b) finish_scores(a, position + b * kCacheBlock, acc[b]);
}

template <int kRows>
CB_INLINE void score_rows_q8(const AttentionArguments& a, std::int64_t begin, std::int64_t end) {
  const RoundedQueries<kRows> queries(a);
  for_key_blocks<kRows>(begin, end, [&](std::int64_t position, auto blocks) {
    score_block_q8<kRows, blocks()>(a, queries, position);
  });
}

/// f(n as a constant), n in 1..kMost.
template <int kMost, class F>
CB_INLINE void with_constant(int n, F&& f) {
  if constexpr (kMost > 1) {
    if (n < kMost) return with_constant<kMost - 1>(n, f);
  }
  f(std::integral_constant<int, kMost>{});
}

CB_INLINE void score_all_rows(const AttentionArguments& a, std::int64_t begin, std::int64_t end) {
  with_constant<kAttentionRows>(a.n_rows, [&](auto rows) {
    switch (a.cache_type) {
      case CacheType::f16:
        return score_rows<std::uint16_t, rows()>(a, begin, end);
      case CacheType::q8_0:
        return score_rows_q8<rows()>(a, begin, end);
      case CacheType::f32:
        return score_rows<float, rows()>(a, begin, end);
    }
  });
}
