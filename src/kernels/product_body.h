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

/// Slice kSlice as values: from bit planes and the table, or from bytes unpacked before.
template <class P, bool kBytes, int kSlice>
CB_INLINE U8x64 slice_values(const std::uint8_t* unit, const std::uint8_t* table) {
  if constexpr (kBytes) return u8_load(unit + 64 * kSlice);
  const U8x64 q = unpack_slice<P::kLayout.bits, kSlice>(unit);
  if constexpr (P::kTable) return u8_table(table, q);
  return q;
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
  dot16<P::kLargest, kWidth>(sums, w, x + 16 * kHalf * kWidth);
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
                                                     in.q + sub / 2 * kUnitColumns * kWidth, sums);
  } else {
    for (int unit = sub * (kSub / kUnitColumns); unit < (sub + 1) * (kSub / kUnitColumns); ++unit) {
      const std::int8_t* x = in.q + unit * kUnitColumns * kWidth;
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

/// One scale group: integer sums, then at most two fused multiply-adds per row and token.
template <class P, int kWidth, int kTokens, bool kBytes>
CB_INLINE void scale_group(const TileInputs& in, int index, F32x16 (&acc)[kTokens]) {
  constexpr IntegerForm kForm = P::kForm;
  I32x16 total[kTokens];
  group_sums<P, kWidth, kTokens, kBytes>(in, index, total);
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

/// kTokens tokens, from `lane` on in the block at `block`, of n_panels panels whose quants are
/// packed or, when kBytes, unpacked in a.scratch (then one panel).
template <class P, int kWidth, int kTokens, bool kBytes>
CB_NOINLINE void product_tile(const ProductArguments& a, TokenBlock block, int lane) {
  constexpr PanelLayout kLayout = P::kLayout;
  constexpr ActivationForm kX = activation_form(P::kForm);
  static_assert(kX.group == kLayout.record_columns);
  constexpr std::size_t kQuantBytes =
      kBytes ? 64 * 8 * (kLayout.record_columns / kUnitColumns) : kLayout.record_bytes;
  constexpr int kStarts = kWidth * kLayout.n_subs;
  constexpr int kMins = kX.min_step == 0 ? 0 : kWidth * (kLayout.record_columns / kX.min_step);
  const std::int64_t records = a.columns / kLayout.record_columns;
  for (std::int64_t panel = 0; panel < a.n_panels; ++panel) {
    TileInputs in;
    in.record = a.panels + panel * a.panel_bytes;
    in.quants = kBytes ? a.scratch : in.record + kLayout.quant_offset;
    in.table = a.table;
    in.q = a.x.q + block.first * a.columns + 4 * lane;
    in.scales = a.x.scales + block.first * records + lane;
    in.starts = a.x.starts + block.first * (records * kLayout.n_subs) + lane;
    in.mins = a.x.mins + (kMins > 0 ? block.first * (records * kMins / kWidth) + lane : 0);
    F32x16 acc[kTokens];
    CB_UNROLL
    for (int t = 0; t < kTokens; ++t) acc[t] = f32_zero();
    for (std::int64_t r = 0; r < records; ++r) {
      for (int index = 0; index < kLayout.n_scales; ++index)
        scale_group<P, kWidth, kTokens, kBytes>(in, index, acc);
      in.record += kLayout.record_bytes;
      in.quants += kQuantBytes;
      in.q += kLayout.record_columns * kWidth;
      in.scales += kWidth;
      in.starts += kStarts;
      in.mins += kMins;
    }
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
  const bool unpacks = kUnpacks && a.n_tokens >= kUnpackTokens;
  // Panels outside, tokens inside: a panel stays in the near caches for all tokens.
  for (std::int64_t panel = 0; panel < a.n_panels; ++panel) {
    ProductArguments one = a;
    one.panels = a.panels + panel * a.panel_bytes;
    one.n_panels = 1;
    one.y = a.y + 16 * panel;
    if (unpacks) unpack_panel<P>(one);
    for (std::int64_t token = 0; token < a.n_tokens;) {
      const TokenBlock block = token_block(token, a.n_tokens);
      if (block.width == 8) {
        unpacks ? product_block<P, 8, kUnpacks>(one, block)
                : product_block<P, 8, false>(one, block);
      } else if (block.width == 4) {
        product_block<P, 4, false>(one, block);
      } else {
        product_block<P, 1, false>(one, block);
      }
      token += block.width;
    }
  }
}

/// Rounds a group of `columns` to nearest even after multiplying by `inverse`; four bytes go every
/// 4 `width` bytes to `out`, sums of 16 to `sums`.
CB_INLINE void round_group(const float* x, int columns, float inverse, int width, std::int8_t* out,
                           std::int32_t* sums) {
  const F32x16 factor = f32_set(inverse);
  for (int i = 0; i < columns; i += 16) {
    alignas(16) std::int8_t q[16];
    i8_store(q, i32_round(f32_load(x + i) * factor));
    // Of the stored bytes: they are small also where x is not finite and the rounded value is
    // INT32_MIN.
    sums[i / 16] = i32_sum(i32_load_i8(reinterpret_cast<const std::uint8_t*>(q)));
    for (int four = 0; four < 4; ++four) {
      std::memcpy(out, q + 4 * four, 4);
      out += 4 * width;
    }
  }
}

/// Largest magnitudes of the next groups, kAtOnce at most: found before the quotients that need
/// them, or every group would wait for the last.
CB_INLINE void group_peaks(const float* x, int columns, int groups, float* peaks) {
  for (int g = 0; g < groups; ++g) {
    F32x16 peak = f32_zero();
    for (int i = 0; i < columns; i += 16) peak = f32_max(peak, f32_abs(f32_load(x + i)));
    peaks[g] = f32_maximum(peak);
    x += columns;
  }
}

/// Sums of sub-groups, and of what minimums take, from sums of 16.
struct SumWriter {
  [[gnu::always_inline]] explicit SumWriter(const QuantizeArguments& a)
      : form(a.form),
        width(a.width),
        starts(a.starts + a.lane),
        mins(a.mins + a.lane),
        sums_per_sub(a.form.sub / 16),
        subs_per_min(a.form.min_step / a.form.sub) {}

  [[gnu::always_inline]] void write(const std::int32_t* sums, float scale) {
    std::int32_t sub_sums[16];
    int n_subs = 0;
    for (int i = 0; i < form.group / 16; i += sums_per_sub) {
      std::int32_t sum = sums[i];
      for (int k = 1; k < sums_per_sub; ++k) sum += sums[i + k];
      sub_sums[n_subs++] = sum;
      *starts = -form.offset * sum;
      starts += width;
    }
    if (form.mins == ActivationForm::Mins::none) return;
    for (int i = 0; i < n_subs; i += subs_per_min) {
      *mins = form.mins == ActivationForm::Mins::sums ? scaled_sum(sub_sums + i, scale)
                                                      : pair_of(sub_sums + i);
      mins += width;
    }
  }

 private:
  [[gnu::always_inline]] std::int32_t scaled_sum(const std::int32_t* sub_sums, float scale) const {
    std::int32_t sum = sub_sums[0];
    for (int k = 1; k < subs_per_min; ++k) sum += sub_sums[k];
    return std::bit_cast<std::int32_t>(static_cast<float>(sum) * scale);
  }
  [[gnu::always_inline]] std::int32_t pair_of(const std::int32_t* sub_sums) const {
    const auto low = static_cast<std::uint32_t>(sub_sums[0]) & 0xffffu;
    const auto high = static_cast<std::uint32_t>(form.sums_per_min == 2 ? sub_sums[1] : 0);
    return static_cast<std::int32_t>(high << 16 | low);
  }

  const ActivationForm form;  // copies: bytes are written beside, which could be anything's
  const int width;
  std::int32_t* starts;
  std::int32_t* mins;
  const int sums_per_sub;
  const int subs_per_min;
};

void quantize_activations(const QuantizeArguments& a) {
  constexpr int kAtOnce = 16;
  const int group = a.form.group;
  const int width = a.width;
  SumWriter writer(a);
  const float* x = a.x;
  float* scales = a.scales + a.lane;
  std::int8_t* q = a.q + 4 * a.lane;
  for (std::int64_t left = a.columns / group; left > 0; left -= kAtOnce) {
    const int groups = left < kAtOnce ? static_cast<int>(left) : kAtOnce;
    float peaks[kAtOnce] = {};
    float inverses[kAtOnce];
    group_peaks(x, group, groups, peaks);
    CB_UNROLL
    for (int g = 0; g < kAtOnce; ++g) inverses[g] = peaks[g] > 0.0f ? 127.0f / peaks[g] : 0.0f;
    for (int g = 0; g < groups; ++g) {
      std::int32_t sums[16];
      round_group(x, group, inverses[g], width, q, sums);
      const float scale = peaks[g] / 127.0f;
      *scales = scale;
      scales += width;
      writer.write(sums, scale);
      x += group;
      q += static_cast<std::int64_t>(group) * width;
    }
  }
}

/// Nothing but independent 8-bit dot products: the machine's integer peak. Returns the
/// multiply-adds done; `sink` keeps the compiler from leaving them out.
std::int64_t dot_products(std::int64_t rounds, std::int32_t* sink) {
  constexpr int kChains = 12;  // latency times units of every machine known
  constexpr std::int8_t kOnes[4 * (3 + kChains)] = {1, 1, 1, 1};
  std::uint8_t ones[64];
  for (auto& one : ones) one = 1;
  const U8x64 w[4] = {u8_load(ones), u8_load(ones), u8_load(ones), u8_load(ones)};
  I32x16 acc[kChains];
  for (auto& a : acc) a = i32_zero();
  for (std::int64_t round = 0; round < rounds; ++round) dot16<1, 1>(acc, w, kOnes);
  I32x16 total = i32_zero();
  for (auto& a : acc) total = total + a;
  *sink = i32_sum(total);
  return rounds * kChains * 256;
}
