// Weighted sums of a head's cached values for a few rows, 16 positions at a time. Included per
// instruction set. Canonical order: docs/numerics.md, "Attention": position by position, so the
// sums may rest in memory between any two.

/// Values of a block of 16 positions, and what weighs them.
template <class T>
struct ValueBlock {
  [[gnu::always_inline]] ValueBlock(const AttentionArguments& a, std::int64_t position)
      : arguments(a),
        first(position),
        values(reinterpret_cast<const T*>(static_cast<const std::uint8_t*>(a.values) +
                                          cache_bytes(a.cache_type, a.value_size, position))),
        stride(kScaled ? cache_groups(a.value_size) * kCacheGroup : a.value_size) {}

  static constexpr bool kScaled = sizeof(T) == 1;
  const AttentionArguments& arguments;
  std::int64_t first;
  const T* values;      ///< [16][stride]
  std::int64_t stride;  ///< elements

  [[gnu::always_inline]] F32x16 value(int position, std::int64_t element) const {
    return load_cached(values + position * stride + element);
  }
  [[gnu::always_inline]] const float* probabilities(int row) const {
    return arguments.scores + row * arguments.score_stride + first;
  }
  /// Probabilities of 16 positions times the scales of a group, rounded once.
  [[gnu::always_inline]] F32x16 scaled_probabilities(int row, std::int64_t group) const {
    const auto* scales = reinterpret_cast<const std::uint16_t*>(values + 16 * stride);
    return f32_load(probabilities(row)) * f32_load_half(scales + 16 * group);
  }
};

/// Positions, whole blocks of 16.
struct ValueRun {
  std::int64_t begin;
  std::int64_t end;
  bool all_seen;  ///< by every row; else a row adds the positions it sees and no other
};

/// Adds elements [element, + 16 kVectors) of a run to the sums of rows [row, row + kRows), which
/// stay in registers meanwhile.
template <class T, int kRows, int kVectors, bool kAllSeen>
CB_INLINE void weigh_values(const AttentionArguments& a, const ValueRun& run, int row,
                            std::int64_t element, float* sums) {
  constexpr bool kScaled = ValueBlock<T>::kScaled;
  constexpr int kGroups = kScaled ? (kVectors + 1) / 2 : 1;
  const std::int64_t stride = attention_sum_floats(a.value_size);
  float* out = sums + row * stride + 16 + element;
  F32x16 sum[kRows][kVectors];
  CB_UNROLL
  for (int r = 0; r < kRows; ++r) {
    CB_UNROLL
    for (int v = 0; v < kVectors; ++v) sum[r][v] = f32_load(out + r * stride + 16 * v);
  }
  for (std::int64_t position = run.begin; position < run.end; position += kCacheBlock) {
    const ValueBlock<T> block(a, position);
    float scaled[kRows][kGroups][16];
    const float* weights[kRows][kGroups];
    CB_UNROLL
    for (int r = 0; r < kRows; ++r) {
      CB_UNROLL
      for (int g = 0; g < kGroups; ++g) {
        weights[r][g] = kScaled ? scaled[r][g] : block.probabilities(row + r);
        if constexpr (kScaled)
          f32_store(scaled[r][g], block.scaled_probabilities(row + r, element / kCacheGroup + g));
      }
    }
    for (int p = 0; p < kCacheBlock; ++p) {
      F32x16 x[kVectors];
      CB_UNROLL
      for (int v = 0; v < kVectors; ++v) x[v] = block.value(p, element + 16 * v);
      CB_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const AttentionRow& seen = a.rows[row + r];
        if (!kAllSeen && (position + p < seen.first || position + p > seen.last)) continue;
        CB_UNROLL
        for (int v = 0; v < kVectors; ++v)
          sum[r][v] = f32_fma(x[v], f32_set(weights[r][kScaled ? v / 2 : 0][p]), sum[r][v]);
      }
    }
  }
  CB_UNROLL
  for (int r = 0; r < kRows; ++r) {
    CB_UNROLL
    for (int v = 0; v < kVectors; ++v) f32_store(out + r * stride + 16 * v, sum[r][v]);
  }
}

template <class T, int kRows>
CB_INLINE void weigh_rows(const AttentionArguments& a, const ValueRun& run, int row, float* sums) {
  // As many sums as the registers hold.
  constexpr int kVectors = CB_TOKEN_TILE == 8 ? (kRows <= 4 ? 4 : 2)
                                              : (kRows == 1   ? 4
                                                 : kRows <= 3 ? 2
                                                              : 1);
  std::int64_t element = 0;
  for (; element + 16 * kVectors <= a.value_size; element += 16 * kVectors) {
    run.all_seen ? weigh_values<T, kRows, kVectors, true>(a, run, row, element, sums)
                 : weigh_values<T, kRows, kVectors, false>(a, run, row, element, sums);
  }
  for (; element < a.value_size; element += 16) {
    for (int r = row; r < row + kRows; ++r) weigh_values<T, 1, 1, false>(a, run, r, element, sums);
  }
}

/// Rows that are weighed together.
inline constexpr int kValueRows = CB_TOKEN_TILE == 8 ? 8 : 4;

/// Adds the values of [begin, end), inside one block of kAttentionBlock, to zeroed sums.
template <class T>
CB_INLINE void weigh_block(const AttentionArguments& a, std::int64_t begin, std::int64_t end,
                           float* sums) {
  std::int64_t first = 0, last = a.rows[0].last;  // positions that every row sees
  for (int r = 0; r < a.n_rows; ++r) {
    first = a.rows[r].first > first ? a.rows[r].first : first;
    last = a.rows[r].last < last ? a.rows[r].last : last;
  }
  const auto all_see = [&](std::int64_t position) {
    return position >= first && position + kCacheBlock - 1 <= last;
  };
  for (ValueRun run{begin, begin, false}; run.begin < end; run.begin = run.end) {
    run.all_seen = all_see(run.begin);
    while (run.end < end && all_see(run.end) == run.all_seen) run.end += kCacheBlock;
    for (int row = 0; row < a.n_rows; row += kValueRows) {
      const int left = a.n_rows - row;
      with_constant<kValueRows>(left < kValueRows ? left : kValueRows,
                                [&](auto rows) { weigh_rows<T, rows()>(a, run, row, sums); });
    }
  }
}
