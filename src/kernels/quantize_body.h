// Activations to 8 bits, and the peak of the products that take them. Included per instruction set,
// after product_body.h. Rounding: docs/numerics.md, "Products".

/// Rounds a group of `columns` to nearest even after multiplying by `inverse`; sums of sub-groups
/// of `sub` columns go to `sums`.
CB_INLINE void round_group(const float* x, int columns, int sub, float inverse, std::int8_t* out,
                           std::int32_t* sums) {
  const F32x16 factor = f32_set(inverse);
  for (int i = 0; i < columns;) {
    I32x16 sum = i32_zero();
    for (const int end = i + sub; i < end; i += 16) {
      i8_store(out + i, i32_round(f32_load(x + i) * factor));
      // Of the stored bytes: they are small also where x is not finite and the rounded value is
      // INT32_MIN.
      sum = sum + i32_load_i8(reinterpret_cast<const std::uint8_t*>(out + i));
    }
    *sums++ = i32_sum(sum);
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

/// Where quantized values go: into memory.
struct ValueWriter {
  CB_INLINE std::int8_t* room(std::int8_t* q) { return q; }
  CB_INLINE void keep_bytes(const std::int8_t*, int) {}
  template <class T>
  CB_INLINE void keep(T* at, T value) {
    *at = value;
  }
};

/// Or nowhere: they are compared with what stands there.
struct ValueComparer {
  alignas(64) std::int8_t bytes[256];  ///< of one group
  std::uint64_t differences = 0;
  CB_INLINE std::int8_t* room(std::int8_t*) { return bytes; }
  CB_INLINE void keep_bytes(const std::int8_t* q, int n) {
    for (int i = 0; i < n; i += 16) {
      std::uint64_t right[2], there[2];
      std::memcpy(right, bytes + i, 16);
      std::memcpy(there, q + i, 16);
      differences |= (right[0] ^ there[0]) | (right[1] ^ there[1]);
    }
  }
  template <class T>
  CB_INLINE void keep(const T* at, T value) {
    differences |= std::bit_cast<std::uint32_t>(*at) ^ std::bit_cast<std::uint32_t>(value);
  }
};

/// What is kept of the sums of sub-groups: they themselves, and what minimums take.
struct SumWriter {
  [[gnu::always_inline]] explicit SumWriter(const QuantizeArguments& a)
      : form(a.form),
        width(a.width),
        starts(a.starts + a.lane),
        mins(a.mins + a.lane),
        subs(a.form.group / a.form.sub),
        subs_per_min(a.form.min_step / a.form.sub) {}

  template <class Out>
  [[gnu::always_inline]] void write(const std::int32_t* sums, float scale, Out& out) {
    for (int i = 0; i < subs; ++i) {
      out.keep(starts, -form.offset * sums[i]);
      starts += width;
    }
    if (form.mins == ActivationForm::Mins::none) return;
    for (int i = 0; i < subs; i += subs_per_min) {
      out.keep(mins, form.mins == ActivationForm::Mins::sums ? scaled_sum(sums + i, scale)
                                                             : pair_of(sums + i));
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
  const int subs;
  const int subs_per_min;
};

template <class Out>
CB_INLINE void quantize_to(const QuantizeArguments& a, Out& out) {
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
      round_group(x, group, a.form.sub, inverses[g], out.room(q), sums);
      out.keep_bytes(q, group);
      const float scale = peaks[g] / 127.0f;
      out.keep(scales, scale);
      scales += width;
      writer.write(sums, scale, out);
      x += group;
      q += static_cast<std::int64_t>(group) * width;
    }
  }
}

void quantize_activations(const QuantizeArguments& a) {
  ValueWriter out;
  quantize_to(a, out);
}

bool same_activations(const QuantizeArguments& a) {
  ValueComparer out;
  quantize_to(a, out);
  return out.differences == 0;
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
