// SIMD vocabulary for Armv8-A (Advanced SIMD): sixteen lanes as four registers, with the dot
// product instructions where CB_HAS_DOTPROD is 1.
// Included once per instruction set, inside its namespace and target region; see isa_neon.cpp.
// The contract of every function stands in simd_scalar.h, which is the reference.

struct F32x16 {
  float32x4_t v[4];
};
struct I32x16 {
  int32x4_t v[4];
};
struct U8x64 {
  uint8x16_t v[4];
};
struct I16x32 {
  int16x8_t v[4];
};

/// The same for each of the four registers i.
#define CB_QUARTERS(TYPE, EXPRESSION)                \
  TYPE r;                                            \
  CB_UNROLL                                          \
  for (int i = 0; i < 4; ++i) r.v[i] = (EXPRESSION); \
  return r

CB_INLINE F32x16 f32_set(float x) { CB_QUARTERS(F32x16, vdupq_n_f32(x)); }
CB_INLINE F32x16 f32_zero() { return f32_set(0.0f); }
CB_INLINE F32x16 f32_load(const float* p) { CB_QUARTERS(F32x16, vld1q_f32(p + 4 * i)); }
CB_INLINE void f32_store(float* p, F32x16 a) {
  CB_UNROLL
  for (int i = 0; i < 4; ++i) vst1q_f32(p + 4 * i, a.v[i]);
}
CB_INLINE F32x16 f32_load_partial(const float* p, int n) {
  if (n == 16) return f32_load(p);
  float lanes[16] = {};
  for (int i = 0; i < n; ++i) lanes[i] = p[i];
  return f32_load(lanes);
}
CB_INLINE void f32_store_partial(float* p, F32x16 a, int n) {
  if (n == 16) return f32_store(p, a);
  float lanes[16];
  f32_store(lanes, a);
  for (int i = 0; i < n; ++i) p[i] = lanes[i];
}
CB_INLINE F32x16 operator+(F32x16 a, F32x16 b) { CB_QUARTERS(F32x16, vaddq_f32(a.v[i], b.v[i])); }
CB_INLINE F32x16 operator-(F32x16 a, F32x16 b) { CB_QUARTERS(F32x16, vsubq_f32(a.v[i], b.v[i])); }
CB_INLINE F32x16 operator*(F32x16 a, F32x16 b) { CB_QUARTERS(F32x16, vmulq_f32(a.v[i], b.v[i])); }
CB_INLINE F32x16 operator/(F32x16 a, F32x16 b) { CB_QUARTERS(F32x16, vdivq_f32(a.v[i], b.v[i])); }
CB_INLINE F32x16 f32_fma(F32x16 a, F32x16 b, F32x16 c) {
  CB_QUARTERS(F32x16, vfmaq_f32(c.v[i], a.v[i], b.v[i]));
}
CB_INLINE F32x16 f32_fnma(F32x16 a, F32x16 b, F32x16 c) {
  CB_QUARTERS(F32x16, vfmsq_f32(c.v[i], a.v[i], b.v[i]));
}
// Selected by a comparison: the processor's own maximum of NaN and x is NaN on either side.
CB_INLINE float32x4_t detail_max(float32x4_t a, float32x4_t b) {
  return vbslq_f32(vcgtq_f32(a, b), a, b);
}
CB_INLINE F32x16 f32_max(F32x16 a, F32x16 b) { CB_QUARTERS(F32x16, detail_max(a.v[i], b.v[i])); }
CB_INLINE F32x16 f32_min(F32x16 a, F32x16 b) {
  CB_QUARTERS(F32x16, vbslq_f32(vcltq_f32(a.v[i], b.v[i]), a.v[i], b.v[i]));
}
CB_INLINE F32x16 f32_abs(F32x16 a) { CB_QUARTERS(F32x16, vabsq_f32(a.v[i])); }
CB_INLINE F32x16 f32_less_select(F32x16 a, F32x16 b, F32x16 x, F32x16 y) {
  CB_QUARTERS(F32x16, vbslq_f32(vcltq_f32(a.v[i], b.v[i]), x.v[i], y.v[i]));
}
CB_INLINE F32x16 f32_from_i32(I32x16 a) { CB_QUARTERS(F32x16, vcvtq_f32_s32(a.v[i])); }
CB_INLINE I32x16 i32_round(F32x16 a) {
  // The instruction gives INT32_MAX above the range and 0 for NaN.
  const float32x4_t limit = vdupq_n_f32(0x1p31f);
  const int32x4_t outside = vdupq_n_s32(INT32_MIN);
  CB_QUARTERS(I32x16, vbslq_s32(vcltq_f32(a.v[i], limit), vcvtnq_s32_f32(a.v[i]), outside));
}
CB_INLINE F32x16 f32_load_half(const std::uint16_t* p) {
  CB_QUARTERS(F32x16, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * i))));
}
CB_INLINE void f32_store_half(std::uint16_t* p, F32x16 a) {
  CB_UNROLL
  for (int i = 0; i < 4; ++i) vst1_u16(p + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(a.v[i])));
}
CB_INLINE F32x16 f32_load_bfloat16(const std::uint16_t* p) {
  CB_QUARTERS(F32x16, vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p + 4 * i), 16)));
}
CB_INLINE F32x16 f32_scale_by_power(F32x16 a, I32x16 exponent) {
  const int32x4_t bias = vdupq_n_s32(127);
  CB_QUARTERS(
      F32x16,
      vmulq_f32(a.v[i], vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(exponent.v[i], bias), 23))));
}

CB_INLINE I32x16 i32_set(std::int32_t x) { CB_QUARTERS(I32x16, vdupq_n_s32(x)); }
CB_INLINE void i32_store(std::int32_t* p, I32x16 a) {
  CB_UNROLL
  for (int i = 0; i < 4; ++i) vst1q_s32(p + 4 * i, a.v[i]);
}
CB_INLINE I32x16 i32_load(const std::int32_t* p) { CB_QUARTERS(I32x16, vld1q_s32(p + 4 * i)); }
CB_INLINE I32x16 i32_zero() { return i32_set(0); }
CB_INLINE I32x16 operator+(I32x16 a, I32x16 b) { CB_QUARTERS(I32x16, vaddq_s32(a.v[i], b.v[i])); }
CB_INLINE I32x16 operator-(I32x16 a, I32x16 b) { CB_QUARTERS(I32x16, vsubq_s32(a.v[i], b.v[i])); }
template <int kShift>
CB_INLINE I32x16 i32_shift_left(I32x16 a) {
  CB_QUARTERS(I32x16, vshlq_n_s32(a.v[i], kShift));
}
CB_INLINE I32x16 i32_load_u8(const std::uint8_t* p) {
  const uint8x16_t bytes = vld1q_u8(p);
  const uint16x8_t low = vmovl_u8(vget_low_u8(bytes));
  const uint16x8_t high = vmovl_high_u8(bytes);
  return {{vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(low))),
           vreinterpretq_s32_u32(vmovl_high_u16(low)),
           vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(high))),
           vreinterpretq_s32_u32(vmovl_high_u16(high))}};
}
CB_INLINE I32x16 operator*(I32x16 a, I32x16 b) { CB_QUARTERS(I32x16, vmulq_s32(a.v[i], b.v[i])); }
CB_INLINE I32x16 i32_load_i8(const std::uint8_t* p) {
  const int8x16_t bytes = vreinterpretq_s8_u8(vld1q_u8(p));
  const int16x8_t low = vmovl_s8(vget_low_s8(bytes));
  const int16x8_t high = vmovl_high_s8(bytes);
  return {{vmovl_s16(vget_low_s16(low)), vmovl_high_s16(low), vmovl_s16(vget_low_s16(high)),
           vmovl_high_s16(high)}};
}
CB_INLINE void i8_store(std::int8_t* p, I32x16 a) {
  const int16x8_t low = vmovn_high_s32(vmovn_s32(a.v[0]), a.v[1]);
  const int16x8_t high = vmovn_high_s32(vmovn_s32(a.v[2]), a.v[3]);
  vst1q_s8(p, vmovn_high_s16(vmovn_s16(low), high));
}
CB_INLINE std::int32_t i32_sum(I32x16 a) {
  return vaddvq_s32(vaddq_s32(vaddq_s32(a.v[0], a.v[1]), vaddq_s32(a.v[2], a.v[3])));
}
CB_INLINE float f32_sum(F32x16 a) {
  const float32x4_t a4 = vaddq_f32(vaddq_f32(a.v[0], a.v[2]), vaddq_f32(a.v[1], a.v[3]));
  const float32x2_t a2 = vadd_f32(vget_low_f32(a4), vget_high_f32(a4));
  return vget_lane_f32(a2, 0) + vget_lane_f32(a2, 1);
}
CB_INLINE float f32_maximum(F32x16 a) {
  const float32x4_t a4 = detail_max(detail_max(a.v[0], a.v[2]), detail_max(a.v[1], a.v[3]));
  const float32x4_t a2 = detail_max(a4, vextq_f32(a4, a4, 2));
  return vgetq_lane_f32(detail_max(a2, vextq_f32(a2, a2, 1)), 0);
}

CB_INLINE U8x64 u8_load(const std::uint8_t* p) { CB_QUARTERS(U8x64, vld1q_u8(p + 16 * i)); }
CB_INLINE void u8_store(std::uint8_t* p, U8x64 a) {
  CB_UNROLL
  for (int i = 0; i < 4; ++i) vst1q_u8(p + 16 * i, a.v[i]);
}
CB_INLINE U8x64 operator|(U8x64 a, U8x64 b) { CB_QUARTERS(U8x64, vorrq_u8(a.v[i], b.v[i])); }
template <int kShift, int kMask>
CB_INLINE U8x64 u8_shift_mask(U8x64 a) {
  if constexpr (kShift > 0) {
    CB_UNROLL
    for (int i = 0; i < 4; ++i) a.v[i] = vshrq_n_u8(a.v[i], kShift);
    if constexpr ((0xff >> kShift) == kMask) return a;
  }
  if constexpr (kShift < 0) {
    CB_UNROLL
    for (int i = 0; i < 4; ++i) a.v[i] = vshlq_n_u8(a.v[i], -kShift);
  }
  const uint8x16_t mask = vdupq_n_u8(kMask);
  CB_QUARTERS(U8x64, vandq_u8(a.v[i], mask));
}
template <int kShift, int kMask>
CB_INLINE U8x64 u8_merge(U8x64 low, U8x64 plane) {
  return low | u8_shift_mask<kShift, kMask>(plane);
}
CB_INLINE U8x64 u8_table(const std::uint8_t* table, U8x64 index) {
  const uint8x16_t entries = vld1q_u8(table);
  CB_QUARTERS(U8x64, vqtbl1q_u8(entries, index.v[i]));
}
CB_INLINE U8x64 u8_table64(const std::uint8_t* table, U8x64 index) {
  const uint8x16x4_t entries = vld1q_u8_x4(table);
  CB_QUARTERS(U8x64, vqtbl4q_u8(entries, index.v[i]));
}
CB_INLINE U8x64 u8_rotate(U8x64 x) {
  constexpr std::uint8_t kOrder[16] = {3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14};
  const uint8x16_t order = vld1q_u8(kOrder);
  CB_QUARTERS(U8x64, vqtbl1q_u8(x.v[i], order));
}

/// Weights as signed bytes: those that may exceed 127 as w - 128, and add_excess gives the rest.
template <int kLargest>
CB_INLINE int8x16_t detail_signed(uint8x16_t w) {
  if constexpr (kLargest > 127) w = veorq_u8(w, vdupq_n_u8(0x80));
  return vreinterpretq_s8_u8(w);
}
CB_INLINE int8x16_t detail_four(const std::int8_t* x) {
  return vreinterpretq_s8_s32(vdupq_n_s32(load_int32(x)));
}
/// 128 times the sum of four slices' activations, added to every lane.
template <int kLargest, int kStride, int kTokens>
CB_INLINE void detail_add_excess(I32x16 (&acc)[kTokens], const std::int8_t* x) {
  if constexpr (kLargest <= 127) return;
  CB_UNROLL
  for (int t = 0; t < kTokens; ++t) {
    int16x8_t pairs = vdupq_n_s16(0);
    CB_UNROLL
    for (int s = 0; s < 4; ++s) pairs = vpadalq_s8(pairs, detail_four(x + 4 * s + kStride * t));
    const int32x4_t excess = vshlq_n_s32(vpaddlq_s16(pairs), 7);
    CB_UNROLL
    for (int i = 0; i < 4; ++i) acc[t].v[i] = vaddq_s32(acc[t].v[i], excess);
  }
}
#if CB_HAS_DOTPROD
template <int kLargest, int kStride, int kTokens>
CB_INLINE void dot16(I32x16 (&acc)[kTokens], const U8x64 (&w)[4], const std::int8_t* x) {
  detail_add_excess<kLargest, kStride>(acc, x);
  CB_UNROLL
  for (int s = 0; s < 4; ++s) {
    int8x16_t values[4];
    CB_UNROLL
    for (int i = 0; i < 4; ++i) values[i] = detail_signed<kLargest>(w[s].v[i]);
    CB_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      const int8x16_t four = detail_four(x + 4 * s + kStride * t);
      CB_UNROLL
      for (int i = 0; i < 4; ++i) acc[t].v[i] = vdotq_s32(acc[t].v[i], values[i], four);
    }
  }
}
#else
/// Products of kSlices slices, summed over slices and then over pairs of columns, in 16 bits:
/// kSlices must be small enough for the weights.
template <int kSlices>
CB_INLINE int16x8_t detail_products(const int8x16_t* w, const int8x16_t* xs) {
  int16x8_t low = vmull_s8(vget_low_s8(w[0]), vget_low_s8(xs[0]));
  int16x8_t high = vmull_high_s8(w[0], xs[0]);
  CB_UNROLL
  for (int s = 1; s < kSlices; ++s) {
    low = vmlal_s8(low, vget_low_s8(w[s]), vget_low_s8(xs[s]));
    high = vmlal_high_s8(high, w[s], xs[s]);
  }
  return vpaddq_s16(low, high);
}
template <int kLargest>
CB_INLINE int32x4_t detail_dot16(int32x4_t acc, const int8x16_t (&w)[4], const int8x16_t (&xs)[4]) {
  if constexpr (kLargest <= 127) {
    // As many slices as fit, for any byte x.
    constexpr int kPair = kLargest * 128 * 2;
    constexpr int kSlices = 4 * kPair <= 32767 ? 4 : 2 * kPair <= 32767 ? 2 : 1;
    CB_UNROLL
    for (int s = 0; s < 4; s += kSlices)
      acc = vpadalq_s16(acc, detail_products<kSlices>(w + s, xs + s));
    return acc;
  } else {
    // A pair of (w - 128) x may not fit: pairs are added in 32 bits.
    int32x4_t low = vdupq_n_s32(0);
    int32x4_t high = low;
    CB_UNROLL
    for (int s = 0; s < 4; ++s) {
      low = vpadalq_s16(low, vmull_s8(vget_low_s8(w[s]), vget_low_s8(xs[s])));
      high = vpadalq_s16(high, vmull_high_s8(w[s], xs[s]));
    }
    return vaddq_s32(acc, vpaddq_s32(low, high));
  }
}
template <int kLargest, int kStride, int kTokens>
CB_INLINE void dot16(I32x16 (&acc)[kTokens], const U8x64 (&w)[4], const std::int8_t* x) {
  detail_add_excess<kLargest, kStride>(acc, x);
  CB_UNROLL
  for (int t = 0; t < kTokens; ++t) {
    int8x16_t xs[4];
    CB_UNROLL
    for (int s = 0; s < 4; ++s) xs[s] = detail_four(x + 4 * s + kStride * t);
    CB_UNROLL
    for (int i = 0; i < 4; ++i) {
      int8x16_t values[4];
      CB_UNROLL
      for (int s = 0; s < 4; ++s) values[s] = detail_signed<kLargest>(w[s].v[i]);
      acc[t].v[i] = detail_dot16<kLargest>(acc[t].v[i], values, xs);
    }
  }
}
#endif

template <int kBytes>
CB_INLINE I16x32 i16_load(const std::uint8_t* p) {
  CB_QUARTERS(I16x32,
              i < kBytes / 16 ? vreinterpretq_s16_u8(vld1q_u8(p + 16 * i)) : vdupq_n_s16(0));
}
CB_INLINE I16x32 i16_load_i8(const std::uint8_t* p) {
  CB_QUARTERS(I16x32, vmovl_s8(vreinterpret_s8_u8(vld1_u8(p + 8 * i))));
}
CB_INLINE I16x32 i16_of_i32(I32x16 a) { CB_QUARTERS(I16x32, vreinterpretq_s16_s32(a.v[i])); }
CB_INLINE I32x16 dot_pairs(I32x16 acc, I16x32 a, std::int32_t x) {
  const int16x8_t xs = vreinterpretq_s16_s32(vdupq_n_s32(x));
  CB_QUARTERS(I32x16,
              vaddq_s32(acc.v[i], vpaddq_s32(vmull_s16(vget_low_s16(a.v[i]), vget_low_s16(xs)),
                                             vmull_high_s16(a.v[i], xs))));
}
template <int kBytes>
CB_INLINE void prefetch(const std::uint8_t* p) {
  CB_UNROLL
  for (int i = 0; i < kBytes; i += 64) __builtin_prefetch(p + i);
}
#undef CB_QUARTERS
