// Attention of a few rows (a row is one query head of one token) over one head's cache. Included
// per instruction set. Canonical order (docs/numerics.md, "Attention"): probabilities and weighted
// values are summed position by position inside blocks of kAttentionBlock absolute positions, and
// the blocks' sums are added in order. Scores: attention_keys_body.h, values:
// attention_values_body.h.

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
  score_all_rows(a, begin, end);
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

void attend_block(const AttentionArguments& a, std::int64_t begin, std::int64_t end,
                  const float* peaks, float* sums) {
  const std::int64_t stride = attention_sum_floats(a.value_size);
  for (int r = 0; r < a.n_rows; ++r) {
    float* row = sums + r * stride;
    f32_store(row, exponential_scores(a.scores + r * a.score_stride, peaks[r], begin, end));
    for (std::int64_t i = 16; i < stride; i += 16) f32_store(row + i, f32_zero());
  }
  switch (a.cache_type) {
    case CacheType::f16:
      return weigh_block<std::uint16_t>(a, begin, end, sums);
    case CacheType::q8_0:
      return weigh_block<std::int8_t>(a, begin, end, sums);
    case CacheType::f32:
      return weigh_block<float>(a, begin, end, sums);
  }
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
