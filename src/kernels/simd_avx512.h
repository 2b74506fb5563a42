// SIMD vocabulary for AVX-512 (F, BW, DQ, VL), with VNNI where CB_HAS_VNNI is 1.
// Included once per instruction set, inside its namespace and target region; see isa_avx512.cpp.
// The contract of every function stands in simd_scalar.h, which is the reference.

struct F32x16 {
  __m512 v;
};
struct I32x16 {
  __m512i v;
};
struct U8x64 {
  __m512i v;
};
struct I16x32 {
  __m512i v;
};

CB_INLINE F32x16 f32_zero() { return {_mm512_setzero_ps()}; }
CB_INLINE F32x16 f32_set(float x) { return {_mm512_set1_ps(x)}; }
CB_INLINE F32x16 f32_load(const float* p) { return {_mm512_loadu_ps(p)}; }
CB_INLINE F32x16 f32_load_partial(const float* p, int n) {
  return {_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1u), p)};
}
CB_INLINE void f32_store(float* p, F32x16 a) { _mm512_storeu_ps(p, a.v); }
CB_INLINE void f32_store_partial(float* p, F32x16 a, int n) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1u), a.v);
}
CB_INLINE F32x16 operator+(F32x16 a, F32x16 b) { return {_mm512_add_ps(a.v, b.v)}; }
CB_INLINE F32x16 operator-(F32x16 a, F32x16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
CB_INLINE F32x16 operator*(F32x16 a, F32x16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
CB_INLINE F32x16 operator/(F32x16 a, F32x16 b) { return {_mm512_div_ps(a.v, b.v)}; }
CB_INLINE F32x16 f32_fma(F32x16 a, F32x16 b, F32x16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
CB_INLINE F32x16 f32_fnma(F32x16 a, F32x16 b, F32x16 c) {
  return {_mm512_fnmadd_ps(a.v, b.v, c.v)};
}
CB_INLINE F32x16 f32_max(F32x16 a, F32x16 b) { return {_mm512_max_ps(a.v, b.v)}; }
CB_INLINE F32x16 f32_min(F32x16 a, F32x16 b) { return {_mm512_min_ps(a.v, b.v)}; }
CB_INLINE F32x16 f32_abs(F32x16 a) { return {_mm512_abs_ps(a.v)}; }
CB_INLINE F32x16 f32_less_select(F32x16 a, F32x16 b, F32x16 x, F32x16 y) {
  return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ), y.v, x.v)};
}
CB_INLINE F32x16 f32_from_i32(I32x16 a) { return {_mm512_cvtepi32_ps(a.v)}; }
CB_INLINE I32x16 i32_round(F32x16 a) { return {_mm512_cvtps_epi32(a.v)}; }
CB_INLINE F32x16 f32_load_half(const std::uint16_t* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
CB_INLINE void f32_store_half(std::uint16_t* p, F32x16 a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm512_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
CB_INLINE F32x16 f32_load_bfloat16(const std::uint16_t* p) {
  const __m512i wide =
      _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16))};
}
CB_INLINE F32x16 f32_scale_by_power(F32x16 a, I32x16 exponent) {
  const __m512i bits = _mm512_slli_epi32(_mm512_add_epi32(exponent.v, _mm512_set1_epi32(127)), 23);
  return {_mm512_mul_ps(a.v, _mm512_castsi512_ps(bits))};
}

CB_INLINE I32x16 i32_zero() { return {_mm512_setzero_si512()}; }
CB_INLINE I32x16 i32_set(std::int32_t x) { return {_mm512_set1_epi32(x)}; }
CB_INLINE void i32_store(std::int32_t* p, I32x16 a) { _mm512_storeu_si512(p, a.v); }
CB_INLINE I32x16 i32_load(const std::int32_t* p) { return {_mm512_loadu_si512(p)}; }
CB_INLINE I32x16 operator+(I32x16 a, I32x16 b) { return {_mm512_add_epi32(a.v, b.v)}; }
CB_INLINE I32x16 operator-(I32x16 a, I32x16 b) { return {_mm512_sub_epi32(a.v, b.v)}; }
template <int kShift>
CB_INLINE I32x16 i32_shift_left(I32x16 a) {
  return {_mm512_slli_epi32(a.v, kShift)};
}
CB_INLINE I32x16 operator*(I32x16 a, I32x16 b) { return {_mm512_mullo_epi32(a.v, b.v)}; }
CB_INLINE I32x16 i32_load_u8(const std::uint8_t* p) {
  return {_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
CB_INLINE I32x16 i32_load_i8(const std::uint8_t* p) {
  return {_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
CB_INLINE void i8_store(std::int8_t* p, I32x16 a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(a.v));
}
CB_INLINE std::int32_t i32_sum(I32x16 a) {
  const __m256i a8 =
      _mm256_add_epi32(_mm512_castsi512_si256(a.v), _mm512_extracti64x4_epi64(a.v, 1));
  const __m128i a4 = _mm_add_epi32(_mm256_castsi256_si128(a8), _mm256_extracti128_si256(a8, 1));
  const __m128i a2 = _mm_add_epi32(a4, _mm_shuffle_epi32(a4, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(a2, _mm_shuffle_epi32(a2, 0xb1)));
}

CB_INLINE __m128 detail_fold(F32x16 a, bool maximum) {
  const __m256 low = _mm512_castps512_ps256(a.v);
  const __m256 high = _mm512_extractf32x8_ps(a.v, 1);
  const __m256 a8 = maximum ? _mm256_max_ps(low, high) : _mm256_add_ps(low, high);
  const __m128 low4 = _mm256_castps256_ps128(a8);
  const __m128 high4 = _mm256_extractf128_ps(a8, 1);
  return maximum ? _mm_max_ps(low4, high4) : _mm_add_ps(low4, high4);
}
CB_INLINE float f32_sum(F32x16 a) {
  const __m128 a4 = detail_fold(a, false);
  const __m128 a2 = _mm_add_ps(a4, _mm_movehl_ps(a4, a4));
  return _mm_cvtss_f32(_mm_add_ss(a2, _mm_movehdup_ps(a2)));
}
CB_INLINE float f32_maximum(F32x16 a) {
  const __m128 a4 = detail_fold(a, true);
  const __m128 a2 = _mm_max_ps(a4, _mm_movehl_ps(a4, a4));
  return _mm_cvtss_f32(_mm_max_ss(a2, _mm_movehdup_ps(a2)));
}

CB_INLINE U8x64 u8_load(const std::uint8_t* p) { return {_mm512_loadu_si512(p)}; }
CB_INLINE void u8_store(std::uint8_t* p, U8x64 a) { _mm512_storeu_si512(p, a.v); }
template <int kShift, int kMask>
CB_INLINE U8x64 u8_shift_mask(U8x64 a) {
  const __m512i mask = _mm512_set1_epi8(static_cast<char>(kMask));
  if constexpr (kShift > 0) return {_mm512_and_si512(_mm512_srli_epi16(a.v, kShift), mask)};
  if constexpr (kShift < 0) return {_mm512_and_si512(_mm512_slli_epi16(a.v, -kShift), mask)};
  return {_mm512_and_si512(a.v, mask)};
}
template <int kShift, int kMask>
CB_INLINE U8x64 u8_merge(U8x64 low, U8x64 plane) {
  __m512i shifted = plane.v;
  if constexpr (kShift > 0) shifted = _mm512_srli_epi16(plane.v, kShift);
  if constexpr (kShift < 0) shifted = _mm512_slli_epi16(plane.v, -kShift);
  constexpr int kAndThenOr = 0xea;  // (shifted & mask) | low
  return {_mm512_ternarylogic_epi32(shifted, _mm512_set1_epi8(static_cast<char>(kMask)), low.v,
                                    kAndThenOr)};
}
CB_INLINE U8x64 u8_table(const std::uint8_t* table, U8x64 index) {
  const __m512i wide =
      _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
  return {_mm512_shuffle_epi8(wide, index.v)};
}
CB_INLINE U8x64 u8_table64(const std::uint8_t* table, U8x64 index) {
  const auto quarter = [&](int i) {
    return _mm512_broadcast_i32x4(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(table + 16 * i)));
  };
  // Only an index byte's low four bits count: its bit 7 is clear.
  const __mmask64 odd = _mm512_test_epi8_mask(index.v, _mm512_set1_epi8(0x10));
  const __mmask64 high = _mm512_test_epi8_mask(index.v, _mm512_set1_epi8(0x20));
  __m512i low_half = _mm512_shuffle_epi8(quarter(0), index.v);
  low_half = _mm512_mask_shuffle_epi8(low_half, odd, quarter(1), index.v);
  __m512i high_half = _mm512_shuffle_epi8(quarter(2), index.v);
  high_half = _mm512_mask_shuffle_epi8(high_half, odd, quarter(3), index.v);
  return {_mm512_mask_blend_epi8(high, low_half, high_half)};
}
CB_INLINE U8x64 u8_rotate(U8x64 a) { return {_mm512_rol_epi32(a.v, 8)}; }

template <int kLargest>
CB_INLINE __m512i detail_dot4(__m512i acc, __m512i w, __m512i xs) {
#if CB_HAS_VNNI
  return _mm512_dpbusd_epi32(acc, w, xs);
#else
  if constexpr (kLargest <= 127) {
    return _mm512_add_epi32(acc,
                            _mm512_madd_epi16(_mm512_maddubs_epi16(w, xs), _mm512_set1_epi16(1)));
  }
  // maddubs would saturate: multiply even and odd bytes as 16-bit numbers instead.
  const __m512i even = _mm512_madd_epi16(_mm512_and_si512(w, _mm512_set1_epi16(0xff)),
                                         _mm512_srai_epi16(_mm512_slli_epi16(xs, 8), 8));
  const __m512i odd = _mm512_madd_epi16(_mm512_srli_epi16(w, 8), _mm512_srai_epi16(xs, 8));
  return _mm512_add_epi32(acc, _mm512_add_epi32(even, odd));
#endif
}
template <int kLargest, int kStride, int kTokens>
CB_INLINE void dot16(I32x16 (&acc)[kTokens], const U8x64 (&w)[4], const std::int8_t* x) {
#if !CB_HAS_VNNI
  // Pairs of products fit into 16 bits four slices deep.
  if constexpr (kLargest * 127 * 2 * 4 <= 32767) {
    CB_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      const auto pairs = [&](int s) {
        return _mm512_maddubs_epi16(w[s].v, _mm512_set1_epi32(load_int32(x + 4 * s + kStride * t)));
      };
      const __m512i sum = _mm512_add_epi16(_mm512_add_epi16(pairs(0), pairs(1)),
                                           _mm512_add_epi16(pairs(2), pairs(3)));
      acc[t].v = _mm512_add_epi32(acc[t].v, _mm512_madd_epi16(sum, _mm512_set1_epi16(1)));
    }
    return;
  }
#endif
  CB_UNROLL
  for (int s = 0; s < 4; ++s) {
    CB_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      acc[t].v = detail_dot4<kLargest>(acc[t].v, w[s].v,
                                       _mm512_set1_epi32(load_int32(x + 4 * s + kStride * t)));
    }
  }
}

CB_INLINE void u8_fold(std::uint8_t* p, U8x64 w, int offset, const std::uint8_t* scales) {
  const __m512i wide = i32_load_i8(scales).v;
  const __m512i scale = _mm512_mask_blend_epi16(0xaaaaaaaau, wide, _mm512_slli_epi32(wide, 16));
  const __m512i start = _mm512_set1_epi16(static_cast<short>(offset));
  const __m512i even = _mm512_mullo_epi16(
      _mm512_sub_epi16(_mm512_and_si512(w.v, _mm512_set1_epi16(0xff)), start), scale);
  const __m512i odd = _mm512_mullo_epi16(_mm512_sub_epi16(_mm512_srli_epi16(w.v, 8), start), scale);
  constexpr __mmask64 kOdd = 0xaaaaaaaaaaaaaaaaull;
  _mm512_storeu_si512(p, _mm512_mask_blend_epi8(kOdd, even, _mm512_slli_epi16(odd, 8)));
  _mm512_storeu_si512(p + 64, _mm512_mask_blend_epi8(kOdd, _mm512_srli_epi16(even, 8), odd));
}

template <int kBytes>
CB_INLINE I16x32 i16_load(const std::uint8_t* p) {
  if constexpr (kBytes == 32)
    return {_mm512_zextsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
  return {_mm512_loadu_si512(p)};
}
CB_INLINE I16x32 i16_load_i8(const std::uint8_t* p) {
  return {_mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
CB_INLINE I16x32 i16_of_i32(I32x16 a) { return {a.v}; }
CB_INLINE I32x16 dot_pairs(I32x16 acc, I16x32 a, std::int32_t x) {
#if CB_HAS_VNNI
  return {_mm512_dpwssd_epi32(acc.v, a.v, _mm512_set1_epi32(x))};
#else
  return {_mm512_add_epi32(acc.v, _mm512_madd_epi16(a.v, _mm512_set1_epi32(x)))};
#endif
}
template <int kBytes>
CB_INLINE void prefetch(const std::uint8_t* p) {
  CB_UNROLL
  for (int i = 0; i < kBytes; i += 64)
    _mm_prefetch(reinterpret_cast<const char*>(p + i), _MM_HINT_T0);
}
