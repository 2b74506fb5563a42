// Products of packed integer weights with quantized activations. Included per instruction set.
// Canonical order: docs/numerics.md, "Products".

/// What the templates below need of one line of products.def.
template <ProductKind kKind>
struct Product {
  static constexpr IntegerForm kForm = product_line(kKind).form;
  static constexpr PanelLayout kLayout = panel_layout(kForm);
  static constexpr bool kTable = product_line(kKind).table;
  static constexpr int kLargest = kTable ? 255 : (1 << kLayout.bits) - 1;
  /// How far ahead of the weights in use the next are asked for. Processors follow the one stream
  /// of a single token better by themselves, and farther requests get in their way (2 KiB: a third
  /// slower); planes and scales read at sub-groups of 16 look like several streams to them. With
  /// several tokens a line is in use for so long that they do not run ahead at all.
  static constexpr int ahead_bytes(int width) {
    return width > 1 ? 2048 : kForm.sub_elements == 16 ? 384 : 128;
  }
};

/// Slice kSlice (0..7) of a unit as bytes q, from its bit planes.
template <int kBits, int kSlice>
CB_INLINE U8x64 unpack_slice(const std::uint8_t* unit) {
  if constexpr (kBits == 8) {
    return u8_load(unit + 64 * kSlice);
  } else if constexpr (kBits == 2 || kBits == 3) {
    const U8x64 low = u8_shift_mask<2 * (kSlice % 4), 0x03>(u8_load(unit + 64 * (kSlice / 4)));
    if constexpr (kBits == 2) return low;
    return u8_merge<kSlice - 2, 0x04>(low, u8_load(unit + 128));
  } else {
    const U8x64 low = u8_shift_mask<4 * (kSlice % 2), 0x0f>(u8_load(unit + 64 * (kSlice / 2)));
    if constexpr (kBits == 4) return low;
    if constexpr (kBits == 5) return u8_merge<kSlice - 4, 0x10>(low, u8_load(unit + 256));
    return u8_merge<2 * (kSlice % 4) - 4, 0x30>(low, u8_load(unit + 256 + 64 * (kSlice / 4)));
  }
}

/// Slice kSlice as windows: the codes of its weights above those of the weights before them, which
/// stand in the slice before or, for the first one, at the end of the column to the left.
template <int kBits, int kWindow, int kSlice>
CB_INLINE U8x64 window_slice(const std::uint8_t* unit) {
  constexpr int kInside = kSlice % 4;
  if constexpr (kBits == 2 && kWindow == 3) {
    // A byte holds four codes that follow one another: the window is six of its bits, or some of
    // the byte's before it below some of its own.
    const U8x64 own = u8_load(unit + 64 * (kSlice / 4));
    if constexpr (kInside >= 2) {
      return u8_shift_mask<2 * kInside - 4, 0x3f>(own);
    } else {
      constexpr int kOwn = 4 - 2 * kInside;  // where its own codes begin in the window
      constexpr int kBelow = (1 << kOwn) - 1;
      const U8x64 before = kSlice >= 4 ? u8_load(unit) : u8_rotate(u8_load(unit + 64));
      return u8_merge<-kOwn, 0x3f & ~kBelow>(u8_shift_mask<8 - kOwn, kBelow>(before), own);
    }
  } else {
    static_assert(kWindow == 2);
    const U8x64 last = unpack_slice<kBits, (kSlice + 7) % 8>(unit);
    return u8_merge<-kBits, ((1 << kBits) - 1) << kBits>(kSlice == 0 ? u8_rotate(last) : last,
                                                         unpack_slice<kBits, kSlice>(unit));
  }
}

/// Slice kSlice as values: from bit planes and the table, or from bytes unpacked before.
template <class P, bool kBytes, int kSlice>
CB_INLINE U8x64 slice_values(const std::uint8_t* unit, const std::uint8_t* table) {
  if constexpr (kBytes) return u8_load(unit + 64 * kSlice);
  if constexpr (P::kForm.window > 1) {
    return u8_table64(table, window_slice<P::kLayout.bits, P::kForm.window, kSlice>(unit));
  } else {
    const U8x64 q = unpack_slice<P::kLayout.bits, kSlice>(unit);
    if constexpr (P::kTable) return u8_table(table, q);
    return q;
  }
}

/// Adds columns [16 kHalf, + 16) of a unit; x points to the unit's first column.
template <class P, int kWidth, int kTokens, bool kBytes, int kHalf>
CB_INLINE void add_half_unit(const std::uint8_t* unit, const std::uint8_t* table,
                             const std::int8_t* x, I32x16 (&sums)[kTokens]) {
  if constexpr (!kBytes)
    prefetch<P::kLayout.unit_bytes / 2>(unit + kHalf * P::kLayout.unit_bytes / 2 +
                                        P::ahead_bytes(kWidth));
  const U8x64 w[4] = {slice_values<P, kBytes, 4 * kHalf>(unit, table),
                      slice_values<P, kBytes, 4 * kHalf + 1>(unit, table),
                      slice_values<P, kBytes, 4 * kHalf + 2>(unit, table),
                      slice_values<P, kBytes, 4 * kHalf + 3>(unit, table)};
  dot16<P::kLargest, P::kLayout.record_columns>(sums, w, x + 16 * kHalf);
}

template <bool kHalfScales>
CB_INLINE F32x16 load_scales(const std::uint8_t* p, int index) {
  if constexpr (kHalfScales) {
    return f32_load_half(reinterpret_cast<const std::uint16_t*>(p) + 16 * index);
  } else {
    return f32_load(reinterpret_cast<const float*>(p) + 16 * index);
  }
}

/// Where a tile reads: one record of weights and its activations, of kTokens tokens in a block.
struct TileInputs {
  const std::uint8_t* record;
  const std::uint8_t* quants;  ///< of the record, packed or as bytes
  const std::uint8_t* table;
  const std::int8_t* q;
  const float* scales;
  const std::int32_t* starts;
  const std::int32_t* mins;
  std::int64_t scale_group;  ///< the record's first, in the row
};

/// The sums of the other chains, where there are any: `next` exchanges them with those in use.
template <int kSums, bool kSeveral>
struct OtherChains {
  CB_INLINE void next(F32x16 (&)[kSums]) {}
  CB_INLINE void add_to(F32x16 (&)[kSums]) const {}
};
template <int kSums>
struct OtherChains<kSums, true> {
  F32x16 sums[CB_CHAINS][kSums];  ///< the last is room for the exchange
  CB_INLINE OtherChains() {
    CB_UNROLL
    for (int i = 0; i < CB_CHAINS * kSums; ++i) sums[i / kSums][i % kSums] = f32_zero();
  }
  CB_INLINE void next(F32x16 (&used)[kSums]) {
    CB_UNROLL
    for (int i = 0; i < kSums; ++i) {
      sums[CB_CHAINS - 1][i] = used[i];
      used[i] = sums[0][i];
      CB_UNROLL
      for (int chain = 1; chain < CB_CHAINS; ++chain) sums[chain - 1][i] = sums[chain][i];
    }
  }
  CB_INLINE void add_to(F32x16 (&used)[kSums]) const {
    CB_UNROLL
    for (int i = 0; i < kSums; ++i) {
      CB_UNROLL
      for (int chain = 0; chain + 1 < CB_CHAINS; ++chain) used[i] = used[i] + sums[chain][i];
    }
  }
};

/// Integer sums of one sub-group (16 columns: half kHalf of a unit; else whole units).
template <class P, int kWidth, int kTokens, bool kBytes, int kHalf>
CB_INLINE void sub_group_sums(const TileInputs& in, int sub, I32x16 (&sums)[kTokens]) {
  constexpr int kSub = P::kForm.sub_elements;
  constexpr std::size_t kUnit = kBytes ? 64 * 8 : P::kLayout.unit_bytes;
  CB_UNROLL
  for (int t = 0; t < kTokens; ++t) sums[t] = i32_set(in.starts[sub * kWidth + t]);
  if constexpr (kSub == 16) {
    add_half_unit<P, kWidth, kTokens, kBytes, kHalf>(in.quants + sub / 2 * kUnit, in.table,
                                                     in.q + sub / 2 * kUnitColumns, sums);
  } else {
    for (int unit = sub * (kSub / kUnitColumns); unit < (sub + 1) * (kSub / kUnitColumns); ++unit) {
      const std::int8_t* x = in.q + unit * kUnitColumns;
      add_half_unit<P, kWidth, kTokens, kBytes, 0>(in.quants + unit * kUnit, in.table, x, sums);
      add_half_unit<P, kWidth, kTokens, kBytes, 1>(in.quants + unit * kUnit, in.table, x, sums);
    }
  }
}

template <class P, int kWidth, int kTokens, bool kBytes, int kHalf>
CB_INLINE void add_scaled_sub_group(const TileInputs& in, int sub, I32x16 (&total)[kTokens]) {
  I32x16 sums[kTokens];
  sub_group_sums<P, kWidth, kTokens, kBytes, kHalf>(in, sub, sums);
  const I32x16 scale = i32_load_i8(in.record + P::kLayout.sub_offset + 16 * sub);
  CB_UNROLL
  for (int t = 0; t < kTokens; ++t) total[t] = total[t] + sums[t] * scale;
}

/// S of docs/numerics.md for scale group `index` of the record.
template <class P, int kWidth, int kTokens, bool kBytes>
CB_INLINE void group_sums(const TileInputs& in, int index, I32x16 (&total)[kTokens]) {
  constexpr IntegerForm kForm = P::kForm;
  constexpr int kSubs = kForm.scale_elements / kForm.sub_elements;
  if constexpr (!kForm.has_sub_scale) {
    static_assert(kSubs == 1);
    if (kForm.sub_elements == 16 && index % 2 == 1)
      return sub_group_sums<P, kWidth, kTokens, kBytes, 1>(in, index, total);
    return sub_group_sums<P, kWidth, kTokens, kBytes, 0>(in, index, total);
  } else {
    CB_UNROLL
    for (int t = 0; t < kTokens; ++t) total[t] = i32_zero();
    for (int s = index * kSubs; s < (index + 1) * kSubs; s += 2) {
      add_scaled_sub_group<P, kWidth, kTokens, kBytes, 0>(in, s, total);
      add_scaled_sub_group<P, kWidth, kTokens, kBytes, kForm.sub_elements == 16 ? 1 : 0>(in, s + 1,
                                                                                         total);
    }
  }
}

/// M of docs/numerics.md for scale group `index` of the record.
template <class P, int kWidth, int kTokens>
CB_INLINE void min_sums(const TileInputs& in, int index, I32x16 (&mins)[kTokens]) {
  constexpr int kSubs = P::kForm.scale_elements / P::kForm.sub_elements;
  constexpr int kEntries = kSubs > 1 ? kSubs / 2 : 1;
  CB_UNROLL
  for (int t = 0; t < kTokens; ++t) mins[t] = i32_zero();
  for (int entry = index * kEntries; entry < (index + 1) * kEntries; ++entry) {
    const std::uint8_t* at = in.record + P::kLayout.sub_min_offset;
    const I16x32 m =
        kSubs > 1 ? i16_load_i8(at + 32 * entry) : i16_of_i32(i32_load_i8(at + 16 * entry));
    CB_UNROLL
    for (int t = 0; t < kTokens; ++t) mins[t] = dot_pairs(mins[t], m, in.mins[entry * kWidth + t]);
  }
}

/// What kTokens tokens of one panel sum up for the check, when it is on.
template <int kTokens>
struct TileCheck {
  bool on;
  const std::int32_t* scale_factors;
  I32x16 sums[kTokens];  ///< integers of all groups
  I32x16 scale_bits;     ///< the bits of all scales, times their factors
  CB_INLINE void start(const ProductCheck& check) {
    on = check.sums != nullptr;
    scale_factors = check.scale_factors;
    scale_bits = i32_zero();
    CB_UNROLL
    for (int t = 0; t < kTokens; ++t) sums[t] = i32_zero();
  }
  /// Before the groups of each activation scale, where a token is alone.
  CB_INLINE void step() {
    CB_UNROLL
    for (int t = 0; t < kTokens; ++t)
      sums[t] = sums[t] * i32_set(static_cast<std::int32_t>(kCheckStep));
  }
  CB_INLINE void add(const I32x16 (&integers)[kTokens]) {
    CB_UNROLL
    for (int t = 0; t < kTokens; ++t) sums[t] = sums[t] + integers[t];
  }
  /// Of scale group `index` of a record. Halves of two rows stand in one lane.
  template <class P>
  CB_INLINE void add_scales(const std::uint8_t* record, std::int64_t first_group, int index) {
    constexpr IntegerForm kForm = P::kForm;
    constexpr bool kMins = stores_min_scales(kForm);
    constexpr int kVectorBytes = kForm.half_scales ? 32 : 64;
    const std::int32_t* factors = scale_factors + (first_group + index) * (kMins ? 2 : 1);
    const std::uint8_t* p = record + kVectorBytes * index;
    scale_bits = dot_pairs(scale_bits, i16_load<kVectorBytes>(p), factors[0]);
    if constexpr (kMins)
      scale_bits =
          dot_pairs(scale_bits, i16_load<kVectorBytes>(p + P::kLayout.min_offset), factors[1]);
  }
  /// To the sums of tokens from `token` on.
  CB_INLINE void finish(const ProductCheck& check, std::int64_t panel, std::int64_t token) const {
    panel += check.panel;
    const I32x16 weights = i32_load(check.lane_weights + 16 * (panel % ProductCheck::kPeriod)) *
                           i32_set(check.factors[panel / ProductCheck::kPeriod]);
    const I32x16 bits = scale_bits * i32_set(static_cast<std::int32_t>(kCheckStep));
    CB_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      std::int32_t* to = check.sums + 16 * (token + t);
      i32_store(to, i32_load(to) + weights * (sums[t] + bits));
    }
  }
};

/// Adds a scale group whose S is `total`: at most two fused multiply-adds per row and token.
template <class P, int kWidth, int kTokens>
CB_INLINE void add_scale_group(const TileInputs& in, int index, I32x16 (&total)[kTokens],
                               F32x16 (&acc)[kTokens], TileCheck<kTokens>& check) {
  constexpr IntegerForm kForm = P::kForm;
  F32x16 scales = load_scales<kForm.half_scales>(in.record, index);
  I32x16 mins[kTokens];
  if constexpr (kForm.has_sub_min) min_sums<P, kWidth, kTokens>(in, index, mins);
  if constexpr (kForm.min_ratio != 0) {
    // Minimums are whole multiples of scale * min_ratio: one integer, in that smaller unit.
    constexpr auto kUnits = static_cast<unsigned>(1 / kForm.min_ratio);
    scales = scales * f32_set(kForm.min_ratio);  // exact: a power of two
    CB_UNROLL
    for (int t = 0; t < kTokens; ++t)
      total[t] = i32_shift_left<std::bit_width(kUnits) - 1>(total[t]) - mins[t];
  }
  if (check.on) {
    check.template add_scales<P>(in.record, in.scale_group, index);
    check.add(total);
    if constexpr (stores_min_scales(kForm) && kForm.has_sub_min) check.add(mins);
  }
  CB_UNROLL
  for (int t = 0; t < kTokens; ++t)
    acc[t] = f32_fma(f32_from_i32(total[t]), scales * f32_set(in.scales[t]), acc[t]);
  if constexpr (kForm.has_min && kForm.min_ratio == 0) {
    const F32x16 min_scales =
        load_scales<kForm.half_scales>(in.record + P::kLayout.min_offset, index);
    CB_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      if constexpr (kForm.has_sub_min) {
        acc[t] = f32_fnma(f32_from_i32(mins[t]), min_scales * f32_set(in.scales[t]), acc[t]);
      } else {
        acc[t] = f32_fnma(f32_set(std::bit_cast<float>(in.mins[index * kWidth + t])), min_scales,
                          acc[t]);
      }
    }
  }
}

/// Where tokens from `lane` on in a block of kWidth find record `index` of the first panel.
template <class P, int kWidth>
CB_INLINE TileInputs tile_inputs(const ProductArguments& a, std::int64_t first_token, int lane,
                                 std::int64_t index) {
  constexpr PanelLayout kLayout = P::kLayout;
  constexpr ActivationForm kX = activation_form(P::kForm);
  static_assert(kX.group == kLayout.record_columns);
  const QuantizedActivations x = activations_from(a.x, kX, a.columns, first_token);
  const std::int64_t at = index * kLayout.record_columns;
  TileInputs in;
  in.record = a.panels + index * static_cast<std::int64_t>(kLayout.record_bytes);
  in.quants = in.record + kLayout.quant_offset;
  in.table = a.table;
  in.q = x.q + at * kWidth + kX.group * lane;
  in.scales = x.scales + scales_per_token(kX, at) * kWidth + lane;
  in.starts = x.starts + starts_per_token(kX, at) * kWidth + lane;
  in.mins = x.mins + (P::kForm.has_min ? mins_per_token(kX, at) * kWidth + lane : 0);
  in.scale_group = index * kLayout.n_scales;
  return in;
}

/// To the next record; kBytes: the quants are bytes, apart from it.
template <class P, int kWidth, bool kBytes>
CB_INLINE void next_record(TileInputs& in) {
  constexpr PanelLayout kLayout = P::kLayout;
  constexpr ActivationForm kX = activation_form(P::kForm);
  in.record += kLayout.record_bytes;
  in.quants += kBytes ? 16 * kLayout.record_columns : kLayout.record_bytes;
  in.q += kX.group * kWidth;
  in.scales += kWidth;
  in.starts += kLayout.n_subs * kWidth;
  in.mins += mins_per_token(kX, kX.group) * kWidth;
  in.scale_group += kLayout.n_scales;
}

/// kTokens tokens, from `lane` on in the block at `block`, of n_panels panels whose quants are
/// packed or, when kBytes, unpacked in a.scratch (then one panel).
template <class P, int kWidth, int kTokens, bool kBytes>
CB_NOINLINE void product_tile(const ProductArguments& a, TokenBlock block, int lane) {
  const std::int64_t records = a.columns / P::kLayout.record_columns;
  for (std::int64_t panel = 0; panel < a.n_panels; ++panel) {
    TileInputs in = tile_inputs<P, kWidth>(panels_from(a, panel), block.first, lane, 0);
    if constexpr (kBytes) in.quants = a.scratch;
    F32x16 acc[kTokens];
    CB_UNROLL
    for (int t = 0; t < kTokens; ++t) acc[t] = f32_zero();
    OtherChains<kTokens, (CB_CHAINS > 1 && kTokens == 1)> others;
    TileCheck<kTokens> check;
    check.start(a.check);
    CB_UNROLL_CHAINS
    for (std::int64_t r = 0; r < records; ++r) {
      if (kWidth == 1 && check.on) check.step();
      for (int index = 0; index < P::kLayout.n_scales; ++index) {
        I32x16 total[kTokens];
        group_sums<P, kWidth, kTokens, kBytes>(in, index, total);
        add_scale_group<P, kWidth, kTokens>(in, index, total, acc, check);
      }
      next_record<P, kWidth, kBytes>(in);
      others.next(acc);
    }
    others.add_to(acc);
    if (check.on) check.finish(a.check, panel, block.first + lane);
    float* y = a.y + (block.first + lane) * a.y_stride + 16 * panel;
    CB_UNROLL
    for (int t = 0; t < kTokens; ++t) f32_store(y + t * a.y_stride, acc[t]);
  }
}

/// One panel's quants as bytes, 512 per 32 columns, tables applied.
template <class P>
CB_NOINLINE void unpack_panel(const ProductArguments& a) {
  std::uint8_t* out = a.scratch;
  const std::uint8_t* record = a.panels;
  for (std::int64_t column = 0; column < a.columns; column += P::kLayout.record_columns) {
    const std::uint8_t* unit = record + P::kLayout.quant_offset;
    for (int u = 0; u < P::kLayout.record_columns / kUnitColumns; ++u) {
      prefetch<P::kLayout.unit_bytes>(unit + P::ahead_bytes(8));
      u8_store(out, slice_values<P, false, 0>(unit, a.table));
      u8_store(out + 64, slice_values<P, false, 1>(unit, a.table));
      u8_store(out + 128, slice_values<P, false, 2>(unit, a.table));
      u8_store(out + 192, slice_values<P, false, 3>(unit, a.table));
      u8_store(out + 256, slice_values<P, false, 4>(unit, a.table));
      u8_store(out + 320, slice_values<P, false, 5>(unit, a.table));
      u8_store(out + 384, slice_values<P, false, 6>(unit, a.table));
      u8_store(out + 448, slice_values<P, false, 7>(unit, a.table));
      unit += P::kLayout.unit_bytes;
      out += 512;
    }
    record += P::kLayout.record_bytes;
  }
}

template <class P, int kWidth, bool kBytes>
void product_block(const ProductArguments& a, TokenBlock block) {
  constexpr int kTokens = kWidth < CB_TOKEN_TILE ? kWidth : CB_TOKEN_TILE;
  for (int lane = 0; lane < kWidth; lane += kTokens)
    product_tile<P, kWidth, kTokens, kBytes>(a, block, lane);
}

template <class P>
void product(const ProductArguments& a) {
  if (a.n_tokens == 1) return product_block<P, 1, false>(a, {0, 1});
  constexpr bool kUnpacks = P::kLayout.bits < 8 || P::kTable;
  const bool unpacks = kUnpacks && a.n_tokens >= kWidestBlock;
  // Panels outside, tokens inside: a panel stays in the near caches for all tokens.
  for (std::int64_t panel = 0; panel < a.n_panels; ++panel) {
    ProductArguments one = panels_from(a, panel);
    one.n_panels = 1;
    if (unpacks) unpack_panel<P>(one);
    for (std::int64_t token = 0; token < a.n_tokens;) {
      const TokenBlock block = token_block(token, a.n_tokens);
      switch (block.width) {
        case kWidestBlock:
          product_block<P, kWidestBlock, kUnpacks>(one, block);
          break;
        case 8:
          product_block<P, 8, false>(one, block);
          break;
        case 4:
          product_block<P, 4, false>(one, block);
          break;
        default:
          product_block<P, 1, false>(one, block);
      }
      token += block.width;
    }
  }
}
