// SIMD vocabulary, portable reference: sixteen lanes as arrays. It defines what every other
// instruction set must compute, to the bit (docs/numerics.md).
// Included inside its namespace; see isa_scalar.cpp.

struct F32x16 { float v[16]; };
struct I32x16 { std::int32_t v[16]; };
struct U8x64 { std::uint8_t v[64]; };

#define CB_LANES(TYPE, EXPRESSION)                        \
  TYPE r;                                                 \
  for (int i = 0; i < 16; ++i) r.v[i] = (EXPRESSION);     \
  return r

CB_INLINE F32x16 f32_zero() { CB_LANES(F32x16, 0.0f); }
CB_INLINE F32x16 f32_set(float x) { CB_LANES(F32x16, x); }
CB_INLINE F32x16 f32_load(const float* p) { CB_LANES(F32x16, p[i]); }
/// Lanes from n on are zero. 0 <= n <= 16.
CB_INLINE F32x16 f32_load_partial(const float* p, int n) { CB_LANES(F32x16, i < n ? p[i] : 0.0f); }
CB_INLINE void f32_store(float* p, F32x16 a) { std::memcpy(p, a.v, sizeof a.v); }
CB_INLINE void f32_store_partial(float* p, F32x16 a, int n) {
  std::memcpy(p, a.v, static_cast<std::size_t>(n) * sizeof(float));
}
CB_INLINE F32x16 operator+(F32x16 a, F32x16 b) { CB_LANES(F32x16, a.v[i] + b.v[i]); }
CB_INLINE F32x16 operator-(F32x16 a, F32x16 b) { CB_LANES(F32x16, a.v[i] - b.v[i]); }
CB_INLINE F32x16 operator*(F32x16 a, F32x16 b) { CB_LANES(F32x16, a.v[i] * b.v[i]); }
CB_INLINE F32x16 operator/(F32x16 a, F32x16 b) { CB_LANES(F32x16, a.v[i] / b.v[i]); }
/// a * b + c with one rounding.
CB_INLINE F32x16 f32_fma(F32x16 a, F32x16 b, F32x16 c) { CB_LANES(F32x16, std::fma(a.v[i], b.v[i], c.v[i])); }
/// c - a * b with one rounding.
CB_INLINE F32x16 f32_fnma(F32x16 a, F32x16 b, F32x16 c) { CB_LANES(F32x16, std::fma(-a.v[i], b.v[i], c.v[i])); }
/// The second operand when either is NaN, as the x86 instruction does.
CB_INLINE F32x16 f32_max(F32x16 a, F32x16 b) { CB_LANES(F32x16, a.v[i] > b.v[i] ? a.v[i] : b.v[i]); }
CB_INLINE F32x16 f32_min(F32x16 a, F32x16 b) { CB_LANES(F32x16, a.v[i] < b.v[i] ? a.v[i] : b.v[i]); }
CB_INLINE F32x16 f32_abs(F32x16 a) { CB_LANES(F32x16, std::fabs(a.v[i])); }
/// a < b ? x : y per lane (false for NaN).
CB_INLINE F32x16 f32_less_select(F32x16 a, F32x16 b, F32x16 x, F32x16 y) {
  CB_LANES(F32x16, a.v[i] < b.v[i] ? x.v[i] : y.v[i]);
}
CB_INLINE F32x16 f32_from_i32(I32x16 a) { CB_LANES(F32x16, static_cast<float>(a.v[i])); }
/// To nearest, ties to even; out of range or NaN gives INT32_MIN, as the x86 instruction does.
CB_INLINE I32x16 i32_round(F32x16 a) {
  CB_LANES(I32x16, a.v[i] >= -0x1p31f && a.v[i] < 0x1p31f ? static_cast<std::int32_t>(std::nearbyint(a.v[i]))
                                                          : INT32_MIN);
}
CB_INLINE F32x16 f32_load_half(const std::uint16_t* p) { CB_LANES(F32x16, half_to_float(p[i])); }
CB_INLINE void f32_store_half(std::uint16_t* p, F32x16 a) {
  for (int i = 0; i < 16; ++i) p[i] = float_to_half(a.v[i]);
}
CB_INLINE F32x16 f32_load_bfloat16(const std::uint16_t* p) { CB_LANES(F32x16, bfloat16_to_float(p[i])); }
/// a * 2^exponent, exponent in [-126, 127].
CB_INLINE F32x16 f32_scale_by_power(F32x16 a, I32x16 exponent) {
  CB_LANES(F32x16, a.v[i] * std::bit_cast<float>(static_cast<std::uint32_t>(exponent.v[i] + 127) << 23));
}

CB_INLINE I32x16 i32_zero() { CB_LANES(I32x16, 0); }
CB_INLINE I32x16 i32_set(std::int32_t x) { CB_LANES(I32x16, x); }
CB_INLINE I32x16 operator+(I32x16 a, I32x16 b) { CB_LANES(I32x16, a.v[i] + b.v[i]); }
CB_INLINE I32x16 operator*(I32x16 a, I32x16 b) { CB_LANES(I32x16, a.v[i] * b.v[i]); }
/// Sixteen signed bytes, widened.
CB_INLINE I32x16 i32_load_i8(const std::uint8_t* p) { CB_LANES(I32x16, static_cast<std::int8_t>(p[i])); }
/// The low byte of each lane.
CB_INLINE void i8_store(std::int8_t* p, I32x16 a) {
  for (int i = 0; i < 16; ++i) p[i] = static_cast<std::int8_t>(a.v[i]);
}
CB_INLINE std::int32_t i32_sum(I32x16 a) {
  std::int32_t sum = 0;
  for (int i = 0; i < 16; ++i) sum += a.v[i];
  return sum;
}
/// The canonical tree: lanes i and i+8, then i+4, i+2, i+1.
CB_INLINE float f32_sum(F32x16 a) {
  for (int width = 8; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) a.v[i] = a.v[i] + a.v[i + width];
  }
  return a.v[0];
}
CB_INLINE float f32_maximum(F32x16 a) {
  for (int width = 8; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) a.v[i] = a.v[i] > a.v[i + width] ? a.v[i] : a.v[i + width];
  }
  return a.v[0];
}

CB_INLINE U8x64 u8_load(const std::uint8_t* p) {
  U8x64 r;
  std::memcpy(r.v, p, 64);
  return r;
}
CB_INLINE U8x64 operator|(U8x64 a, U8x64 b) {
  for (int i = 0; i < 64; ++i) a.v[i] |= b.v[i];
  return a;
}
/// (byte >> kShift) & kMask, or << -kShift. Bits that cross into a neighbour byte must be masked off.
template <int kShift, int kMask>
CB_INLINE U8x64 u8_shift_mask(U8x64 a) {
  for (int i = 0; i < 64; ++i) {
    const int shifted = kShift >= 0 ? a.v[i] >> (kShift >= 0 ? kShift : 0) : a.v[i] << (kShift < 0 ? -kShift : 0);
    a.v[i] = static_cast<std::uint8_t>(shifted & kMask);
  }
  return a;
}
/// table[16], every index < 16.
CB_INLINE U8x64 u8_table(const std::uint8_t* table, U8x64 index) {
  for (int i = 0; i < 64; ++i) index.v[i] = table[index.v[i]];
  return index;
}

/// acc[lane] += sum over j < 4 of w[4 lane + j] * x[j], exactly. kFullRange: w may exceed 127.
template <bool kFullRange>
CB_INLINE I32x16 dot4(I32x16 acc, U8x64 w, const std::int8_t* x) {
  const std::int32_t x0 = x[0], x1 = x[1], x2 = x[2], x3 = x[3];
  for (int i = 0; i < 16; ++i) {
    acc.v[i] += w.v[4 * i] * x0 + w.v[4 * i + 1] * x1 + w.v[4 * i + 2] * x2 + w.v[4 * i + 3] * x3;
  }
  return acc;
}
#undef CB_LANES
