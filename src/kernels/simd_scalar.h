// SIMD vocabulary, portable reference: sixteen lanes as arrays. It defines what every other
// instruction set must compute, to the bit (docs/numerics.md).
// Included inside its namespace; see isa_scalar.cpp.

struct F32x16 {
  float v[16];
};
struct I32x16 {
  std::int32_t v[16];
};
struct U8x64 {
  std::uint8_t v[64];
};
struct I16x32 {
  std::int16_t v[32];
};

#define CB_LANES(TYPE, EXPRESSION)                    \
  TYPE r;                                             \
  for (int i = 0; i < 16; ++i) r.v[i] = (EXPRESSION); \
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
CB_INLINE F32x16 f32_fma(F32x16 a, F32x16 b, F32x16 c) {
  CB_LANES(F32x16, std::fma(a.v[i], b.v[i], c.v[i]));
}
/// c - a * b with one rounding.
CB_INLINE F32x16 f32_fnma(F32x16 a, F32x16 b, F32x16 c) {
  CB_LANES(F32x16, std::fma(-a.v[i], b.v[i], c.v[i]));
}
/// The second operand when either is NaN, as the x86 instruction does.
CB_INLINE F32x16 f32_max(F32x16 a, F32x16 b) {
  CB_LANES(F32x16, a.v[i] > b.v[i] ? a.v[i] : b.v[i]);
}
CB_INLINE F32x16 f32_min(F32x16 a, F32x16 b) {
  CB_LANES(F32x16, a.v[i] < b.v[i] ? a.v[i] : b.v[i]);
}
CB_INLINE F32x16 f32_abs(F32x16 a) { CB_LANES(F32x16, std::fabs(a.v[i])); }
/// a < b ? x : y per lane (false for NaN).
CB_INLINE F32x16 f32_less_select(F32x16 a, F32x16 b, F32x16 x, F32x16 y) {
  CB_LANES(F32x16, a.v[i] < b.v[i] ? x.v[i] : y.v[i]);
}
CB_INLINE F32x16 f32_from_i32(I32x16 a) { CB_LANES(F32x16, static_cast<float>(a.v[i])); }
/// To nearest, ties to even; out of range or NaN gives INT32_MIN, as the x86 instruction does.
CB_INLINE I32x16 i32_round(F32x16 a) {
  CB_LANES(I32x16, a.v[i] >= -0x1p31f && a.v[i] < 0x1p31f
                       ? static_cast<std::int32_t>(std::nearbyint(a.v[i]))
                       : INT32_MIN);
}
CB_INLINE F32x16 f32_load_half(const std::uint16_t* p) { CB_LANES(F32x16, half_to_float(p[i])); }
CB_INLINE void f32_store_half(std::uint16_t* p, F32x16 a) {
  for (int i = 0; i < 16; ++i) p[i] = float_to_half(a.v[i]);
}
CB_INLINE F32x16 f32_load_bfloat16(const std::uint16_t* p) {
  CB_LANES(F32x16, bfloat16_to_float(p[i]));
}
/// a * 2^exponent, exponent in [-126, 127].
CB_INLINE F32x16 f32_scale_by_power(F32x16 a, I32x16 exponent) {
  CB_LANES(F32x16,
           a.v[i] * std::bit_cast<float>(static_cast<std::uint32_t>(exponent.v[i] + 127) << 23));
}

CB_INLINE I32x16 i32_zero() { CB_LANES(I32x16, 0); }
CB_INLINE I32x16 i32_set(std::int32_t x) { CB_LANES(I32x16, x); }
CB_INLINE void i32_store(std::int32_t* p, I32x16 a) { std::memcpy(p, a.v, sizeof a.v); }
CB_INLINE I32x16 i32_load(const std::int32_t* p) { CB_LANES(I32x16, p[i]); }
/// Sums, differences and products wrap at 32 bits.
CB_INLINE std::uint32_t detail_bits(std::int32_t x) { return static_cast<std::uint32_t>(x); }
#define CB_WRAPPING(EXPRESSION) CB_LANES(I32x16, static_cast<std::int32_t>(EXPRESSION))
CB_INLINE I32x16 operator+(I32x16 a, I32x16 b) {
  CB_WRAPPING(detail_bits(a.v[i]) + detail_bits(b.v[i]));
}
CB_INLINE I32x16 operator-(I32x16 a, I32x16 b) {
  CB_WRAPPING(detail_bits(a.v[i]) - detail_bits(b.v[i]));
}
CB_INLINE I32x16 operator*(I32x16 a, I32x16 b) {
  CB_WRAPPING(detail_bits(a.v[i]) * detail_bits(b.v[i]));
}
template <int kShift>
CB_INLINE I32x16 i32_shift_left(I32x16 a) {
  CB_WRAPPING(detail_bits(a.v[i]) << kShift);
}
#undef CB_WRAPPING
/// Sixteen unsigned bytes, widened.
CB_INLINE I32x16 i32_load_u8(const std::uint8_t* p) { CB_LANES(I32x16, p[i]); }
/// Sixteen signed bytes, widened.
CB_INLINE I32x16 i32_load_i8(const std::uint8_t* p) {
  CB_LANES(I32x16, static_cast<std::int8_t>(p[i]));
}
/// The low byte of each lane.
CB_INLINE void i8_store(std::int8_t* p, I32x16 a) {
  for (int i = 0; i < 16; ++i) p[i] = static_cast<std::int8_t>(a.v[i]);
}
CB_INLINE std::int32_t i32_sum(I32x16 a) {
  std::uint32_t sum = 0;
  for (int i = 0; i < 16; ++i) sum += detail_bits(a.v[i]);
  return static_cast<std::int32_t>(sum);
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
CB_INLINE void u8_store(std::uint8_t* p, U8x64 a) { std::memcpy(p, a.v, 64); }
CB_INLINE U8x64 operator|(U8x64 a, U8x64 b) {
  for (int i = 0; i < 64; ++i) a.v[i] |= b.v[i];
  return a;
}
/// (byte >> kShift) & kMask, or << -kShift. Bits that cross into a neighbour byte must be masked
/// off.
template <int kShift, int kMask>
CB_INLINE U8x64 u8_shift_mask(U8x64 a) {
  for (int i = 0; i < 64; ++i) {
    const int shifted =
        kShift >= 0 ? a.v[i] >> (kShift >= 0 ? kShift : 0) : a.v[i] << (kShift < 0 ? -kShift : 0);
    a.v[i] = static_cast<std::uint8_t>(shifted & kMask);
  }
  return a;
}
/// low | u8_shift_mask<kShift, kMask>(plane).
template <int kShift, int kMask>
CB_INLINE U8x64 u8_merge(U8x64 low, U8x64 plane) {
  return low | u8_shift_mask<kShift, kMask>(plane);
}
/// table[16], every index < 16.
CB_INLINE U8x64 u8_table(const std::uint8_t* table, U8x64 index) {
  for (int i = 0; i < 64; ++i) index.v[i] = table[index.v[i]];
  return index;
}
/// table[64], every index < 64.
CB_INLINE U8x64 u8_table64(const std::uint8_t* table, U8x64 index) {
  return u8_table(table, index);
}
/// In each four bytes, every byte takes the place of the next, the last that of the first.
CB_INLINE U8x64 u8_rotate(U8x64 a) {
  U8x64 r;
  for (int i = 0; i < 64; ++i) r.v[i] = a.v[i / 4 * 4 + (i + 3) % 4];
  return r;
}

/// acc[t][lane] += sum over slices s < 4 and j < 4 of w[s][4 lane + j] * x[kStride t + 4 s + j],
/// exactly, for kTokens tokens. No weight exceeds kLargest.
template <int kLargest, int kStride, int kTokens>
CB_INLINE void dot16(I32x16 (&acc)[kTokens], const U8x64 (&w)[4], const std::int8_t* x) {
  for (int t = 0; t < kTokens; ++t) {
    for (int s = 0; s < 4; ++s) {
      const std::int8_t* four = x + 4 * s + kStride * t;
      for (int i = 0; i < 16; ++i) {
        for (int j = 0; j < 4; ++j) acc[t].v[i] += w[s].v[4 * i + j] * four[j];
      }
    }
  }
}

/// (w - offset) * scales[lane], signed and of at most 16 bits, in two planes: the low bytes at p,
/// the high ones at p + 64. For tiles (product_tiles_body.h).
CB_INLINE void u8_fold(std::uint8_t* p, U8x64 w, int offset, const std::uint8_t* scales) {
  for (int i = 0; i < 64; ++i) {
    const int folded = (w.v[i] - offset) * static_cast<std::int8_t>(scales[i / 4]);
    p[i] = static_cast<std::uint8_t>(folded & 0xff);
    p[64 + i] = static_cast<std::uint8_t>(folded >> 8);
  }
}

/// Pairs of 16 bits per lane, from 32 or 64 bytes; lanes without any are zero.
template <int kBytes>
CB_INLINE I16x32 i16_load(const std::uint8_t* p) {
  I16x32 r = {};
  std::memcpy(r.v, p, kBytes);
  return r;
}
/// Thirty-two signed bytes, widened to pairs of 16 bits per lane.
CB_INLINE I16x32 i16_load_i8(const std::uint8_t* p) {
  I16x32 r;
  for (int i = 0; i < 32; ++i) r.v[i] = static_cast<std::int8_t>(p[i]);
  return r;
}
/// The lanes' halves as pairs, low half first.
CB_INLINE I16x32 i16_of_i32(I32x16 a) {
  I16x32 r;
  for (int i = 0; i < 16; ++i) {
    r.v[2 * i] = static_cast<std::int16_t>(a.v[i]);
    r.v[2 * i + 1] = static_cast<std::int16_t>(a.v[i] >> 16);
  }
  return r;
}
/// acc[lane] += a[lane][0] * low half of x + a[lane][1] * high half of x, wrapping at 32 bits. Not
/// all four are -2^15.
CB_INLINE I32x16 dot_pairs(I32x16 acc, I16x32 a, std::int32_t x) {
  const std::int32_t low = static_cast<std::int16_t>(x), high = x >> 16;
  CB_LANES(I32x16,
           static_cast<std::int32_t>(detail_bits(acc.v[i]) +
                                     detail_bits(a.v[2 * i] * low + a.v[2 * i + 1] * high)));
}
/// Asks for kBytes from p on to be brought near; p need not be valid.
template <int kBytes>
CB_INLINE void prefetch(const std::uint8_t*) {}
#undef CB_LANES
