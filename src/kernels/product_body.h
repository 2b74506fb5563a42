// Products of packed integer weights with quantized activations. Included per instruction set.
// Canonical order: docs/numerics.md, "Products".

#define CHECKBIT_PRODUCT(NAME, BITS, TABLE, SCALE, SUB, SUB_SCALE, MIN, SUB_MIN, RATIO, HALF, ACTIVATION)   \
  struct Product_##NAME {                                                                                   \
    static constexpr IntegerForm kForm = {                                                                  \
        .bits = BITS, .scale_elements = SCALE, .sub_elements = SUB, .has_sub_scale = SUB_SCALE,             \
        .has_min = MIN, .has_sub_min = SUB_MIN, .min_ratio = RATIO, .half_scales = HALF,                    \
        .activation_elements = ACTIVATION};                                                                 \
    static constexpr PanelLayout kLayout = panel_layout(kForm);                                             \
    static constexpr bool kTable = TABLE;                                                                   \
    static constexpr bool kFullRange = TABLE || BITS > 6;                                                   \
  };
#include "kernels/products.def"
#undef CHECKBIT_PRODUCT

/// Slice kSlice (0..7) of a unit as bytes q, from its bit planes.
template <int kBits, int kSlice>
CB_INLINE U8x64 unpack_slice(const std::uint8_t* unit) {
  if constexpr (kBits == 8) {
    return u8_load(unit + 64 * kSlice);
  } else if constexpr (kBits == 2 || kBits == 3) {
    const U8x64 low = u8_shift_mask<2 * (kSlice % 4), 0x03>(u8_load(unit + 64 * (kSlice / 4)));
    if constexpr (kBits == 2) return low;
    return low | u8_shift_mask<kSlice - 2, 0x04>(u8_load(unit + 128));
  } else {
    const U8x64 low = u8_shift_mask<4 * (kSlice % 2), 0x0f>(u8_load(unit + 64 * (kSlice / 2)));
    if constexpr (kBits == 4) return low;
    if constexpr (kBits == 5) return low | u8_shift_mask<kSlice - 4, 0x10>(u8_load(unit + 256));
    return low | u8_shift_mask<2 * (kSlice % 4) - 4, 0x30>(u8_load(unit + 256 + 64 * (kSlice / 4)));
  }
}

template <class P, int kTokens, int kSlice>
CB_INLINE void add_slice(const std::uint8_t* unit, const std::uint8_t* table, const std::int8_t* const* x,
                         std::int64_t column, I32x16* sums) {
  U8x64 w = unpack_slice<P::kLayout.bits, kSlice>(unit);
  if constexpr (P::kTable) w = u8_table(table, w);
  CB_UNROLL
  for (int t = 0; t < kTokens; ++t) {
    sums[t] = dot4<P::kFullRange>(sums[t], w, x[t] + column + 4 * kSlice);
  }
}

/// Adds columns [column + 16 kHalf, + 16) of the unit that starts at `column`.
template <class P, int kTokens, int kHalf>
CB_INLINE void add_half_unit(const std::uint8_t* unit, const std::uint8_t* table, const std::int8_t* const* x,
                             std::int64_t column, I32x16* sums) {
  add_slice<P, kTokens, 4 * kHalf>(unit, table, x, column, sums);
  add_slice<P, kTokens, 4 * kHalf + 1>(unit, table, x, column, sums);
  add_slice<P, kTokens, 4 * kHalf + 2>(unit, table, x, column, sums);
  add_slice<P, kTokens, 4 * kHalf + 3>(unit, table, x, column, sums);
}

template <bool kHalfScales>
CB_INLINE F32x16 load_scales(const std::uint8_t* p, int index) {
  if constexpr (kHalfScales) {
    return f32_load_half(reinterpret_cast<const std::uint16_t*>(p) + 16 * index);
  } else {
    return f32_load(reinterpret_cast<const float*>(p) + 16 * index);
  }
}

/// The rows of activations that a tile works on.
template <int kTokens>
struct TileInputs {
  const std::int8_t* q[kTokens];
  const float* scales[kTokens];
  const std::int32_t* sums[kTokens];
};

/// Integer sums of one scale group: over the quants, and over the minimums.
template <int kTokens>
struct GroupSums {
  I32x16 total[kTokens];
  I32x16 mins[kTokens];
  std::int32_t plain_mins[kTokens];
};

/// Adds one sub-group (16 columns: half kHalf of a unit; else whole units) to the group's sums.
template <class P, int kTokens, int kHalf>
CB_INLINE void add_sub_group(const ProductArguments& a, const std::uint8_t* record, int sub,
                             const TileInputs<kTokens>& x, std::int64_t column, GroupSums<kTokens>& group) {
  constexpr int kSub = P::kForm.sub_elements;
  I32x16 sums[kTokens];
  std::int32_t x_sums[kTokens];
  CB_UNROLL
  for (int t = 0; t < kTokens; ++t) {
    std::int32_t total = 0;
    for (int i = 0; i < kSub / 16; ++i) total += x.sums[t][(column + sub * kSub) / 16 + i];
    x_sums[t] = total;
    sums[t] = i32_set(-a.q_offset * total);
  }
  const std::uint8_t* quants = record + P::kLayout.quant_offset;
  if constexpr (kSub == 16) {
    const std::int64_t start = column + sub / 2 * kUnitColumns;
    add_half_unit<P, kTokens, kHalf>(quants + sub / 2 * P::kLayout.unit_bytes, a.table, x.q, start, sums);
  } else {
    for (int u = 0; u < kSub / kUnitColumns; ++u) {
      const int index = sub * (kSub / kUnitColumns) + u;
      const std::uint8_t* unit = quants + index * P::kLayout.unit_bytes;
      add_half_unit<P, kTokens, 0>(unit, a.table, x.q, column + index * kUnitColumns, sums);
      add_half_unit<P, kTokens, 1>(unit, a.table, x.q, column + index * kUnitColumns, sums);
    }
  }
  CB_UNROLL
  for (int t = 0; t < kTokens; ++t) {
    if constexpr (P::kForm.has_sub_scale) sums[t] = sums[t] * i32_load_i8(record + P::kLayout.sub_offset + 16 * sub);
    group.total[t] = group.total[t] + sums[t];
    if constexpr (P::kForm.has_sub_min) {
      const I32x16 m = i32_load_i8(record + P::kLayout.sub_min_offset + 16 * sub);
      group.mins[t] = group.mins[t] + m * i32_set(x_sums[t]);
    }
    group.plain_mins[t] += x_sums[t];
  }
}

/// One scale group: integer sums of its sub-groups, then one fused multiply-add per row and token.
template <class P, int kTokens>
CB_INLINE void scale_group(const ProductArguments& a, const std::uint8_t* record, int index,
                           const TileInputs<kTokens>& x, std::int64_t column, F32x16 (&acc)[kTokens]) {
  constexpr IntegerForm kForm = P::kForm;
  constexpr int kSubs = kForm.scale_elements / kForm.sub_elements;
  GroupSums<kTokens> group;
  CB_UNROLL
  for (int t = 0; t < kTokens; ++t) {
    group.total[t] = i32_zero();
    group.mins[t] = i32_zero();
    group.plain_mins[t] = 0;
  }
  if constexpr (kForm.scale_elements == 16) {
    if (index % 2 == 0) {
      add_sub_group<P, kTokens, 0>(a, record, index, x, column, group);
    } else {
      add_sub_group<P, kTokens, 1>(a, record, index, x, column, group);
    }
  } else if constexpr (kForm.sub_elements == 16) {
    for (int s = 0; s < kSubs; s += 2) {
      add_sub_group<P, kTokens, 0>(a, record, index * kSubs + s, x, column, group);
      add_sub_group<P, kTokens, 1>(a, record, index * kSubs + s + 1, x, column, group);
    }
  } else {
    for (int s = 0; s < kSubs; ++s) add_sub_group<P, kTokens, 0>(a, record, index * kSubs + s, x, column, group);
  }
  const F32x16 scales = load_scales<kForm.half_scales>(record, index);
  const std::int64_t activation_group = (column + index * kForm.scale_elements) / kForm.activation_elements;
  CB_UNROLL
  for (int t = 0; t < kTokens; ++t) {
    const F32x16 x_scale = f32_set(x.scales[t][activation_group]);
    acc[t] = f32_fma(f32_from_i32(group.total[t]), scales * x_scale, acc[t]);
    if constexpr (kForm.has_min) {
      F32x16 min_scales = scales * f32_set(kForm.min_ratio);  // exact: a power of two
      if constexpr (kForm.min_ratio == 0) min_scales = load_scales<kForm.half_scales>(record + P::kLayout.min_offset, index);
      const F32x16 m = kForm.has_sub_min ? f32_from_i32(group.mins[t])
                                         : f32_set(static_cast<float>(group.plain_mins[t]));
      acc[t] = f32_fnma(m, min_scales * x_scale, acc[t]);
    }
  }
}

template <class P, int kTokens>
CB_NOINLINE void product_tile(const ProductArguments& a, std::int64_t first_token) {
  TileInputs<kTokens> x;
  for (int t = 0; t < kTokens; ++t) {
    x.q[t] = a.x.q + (first_token + t) * a.columns;
    x.scales[t] = a.x.scales + (first_token + t) * (a.columns / P::kForm.activation_elements);
    x.sums[t] = a.x.sums + (first_token + t) * (a.columns / 16);
  }
  for (std::int64_t panel = 0; panel < a.n_panels; ++panel) {
    const std::uint8_t* record = a.panels + panel * a.panel_bytes;
    F32x16 acc[kTokens];
    for (int t = 0; t < kTokens; ++t) acc[t] = f32_zero();
    for (std::int64_t column = 0; column < a.columns; column += P::kLayout.record_columns) {
      for (int index = 0; index < P::kLayout.n_scales; ++index) scale_group<P, kTokens>(a, record, index, x, column, acc);
      record += P::kLayout.record_bytes;
    }
    for (int t = 0; t < kTokens; ++t) f32_store(a.y + (first_token + t) * a.y_stride + 16 * panel, acc[t]);
  }
}

template <class P>
void product(const ProductArguments& a) {
  // Panels outside, tokens inside: a panel stays in the first-level cache for all tokens.
  for (std::int64_t panel = 0; panel < a.n_panels; ++panel) {
    ProductArguments one = a;
    if (a.n_tokens > 1) {
      one.panels = a.panels + panel * a.panel_bytes;
      one.n_panels = 1;
      one.y = a.y + 16 * panel;
    }
    std::int64_t token = 0;
    for (; token + CB_TOKEN_TILE <= a.n_tokens; token += CB_TOKEN_TILE) product_tile<P, CB_TOKEN_TILE>(one, token);
    for (; token + CB_SMALL_TILE <= a.n_tokens; token += CB_SMALL_TILE) product_tile<P, CB_SMALL_TILE>(one, token);
    for (; token < a.n_tokens; ++token) product_tile<P, 1>(one, token);
    if (a.n_tokens <= 1) break;
  }
}

/// Rounds to nearest even after dividing by the group's largest magnitude / 127.
void quantize_activations(const float* x, std::int64_t columns, int group, std::int8_t* q, float* scales,
                          std::int32_t* sums) {
  for (std::int64_t start = 0; start < columns; start += group) {
    F32x16 peak = f32_zero();
    for (int i = 0; i < group; i += 16) peak = f32_max(peak, f32_abs(f32_load(x + start + i)));
    const float largest = f32_maximum(peak);
    scales[start / group] = largest / 127.0f;
    const F32x16 inverse = f32_set(largest > 0.0f ? 127.0f / largest : 0.0f);
    for (int i = 0; i < group; i += 16) {
      const I32x16 rounded = i32_round(f32_load(x + start + i) * inverse);
      i8_store(q + start + i, rounded);
      // Of the stored bytes: they are small also where x is not finite and `rounded` is INT32_MIN.
      sums[(start + i) / 16] = i32_sum(i32_load_i8(reinterpret_cast<const std::uint8_t*>(q + start + i)));
    }
  }
}
