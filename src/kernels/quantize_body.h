// Activations to 8 bits, and the peak of the products that take them. Included per instruction set,
// after product_body.h. Rounding: docs/numerics.md, "Products".

/// Rounds a group of `columns` to nearest even after multiplying by `inverse`; sums of 16 go to
/// `sums`.
CB_INLINE void round_group(const float* x, int columns, float inverse, std::int8_t* out,
                           std::int32_t* sums) {
  const F32x16 factor = f32_set(inverse);
  for (int i = 0; i < columns; i += 16) {
    i8_store(out + i, i32_round(f32_load(x + i) * factor));
    // Of the stored bytes: they are small also where x is not finite and the rounded value is
    // INT32_MIN.
    sums[i / 16] = i32_sum(i32_load_i8(reinterpret_cast<const std::uint8_t*>(out + i)));
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
  std::int8_t* q = a.q + group * a.lane;
  for (std::int64_t left = a.columns / group; left > 0; left -= kAtOnce) {
    const int groups = left < kAtOnce ? static_cast<int>(left) : kAtOnce;
    float peaks[kAtOnce] = {};
    float inverses[kAtOnce];
    group_peaks(x, group, groups, peaks);
    CB_UNROLL
    for (int g = 0; g < kAtOnce; ++g) inverses[g] = peaks[g] > 0.0f ? 127.0f / peaks[g] : 0.0f;
    for (int g = 0; g < groups; ++g) {
      std::int32_t sums[16];
      round_group(x, group, inverses[g], q, sums);
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
  for (std::int64_t round = 0; round < rounds; ++round) dot16<1, 4>(acc, w, kOnes);
  I32x16 total = i32_zero();
  for (auto& a : acc) total = total + a;
  *sink = i32_sum(total);
  return rounds * kChains * 256;
}
