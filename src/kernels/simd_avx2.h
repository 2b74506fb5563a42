// SIMD vocabulary for AVX2 with FMA and F16C: sixteen lanes as two registers.
// Included inside its namespace and target region; see isa_avx2.cpp. Contract: simd_scalar.h.

struct F32x16 { __m256 a, b; };
struct I32x16 { __m256i a, b; };
struct U8x64 { __m256i a, b; };

CB_INLINE F32x16 f32_zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
CB_INLINE F32x16 f32_set(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
CB_INLINE F32x16 f32_load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
CB_INLINE void f32_store(float* p, F32x16 x) {
  _mm256_storeu_ps(p, x.a);
  _mm256_storeu_ps(p + 8, x.b);
}
CB_INLINE F32x16 f32_load_partial(const float* p, int n) {
  alignas(32) float lanes[16] = {};
  for (int i = 0; i < n; ++i) lanes[i] = p[i];
  return f32_load(lanes);
}
CB_INLINE void f32_store_partial(float* p, F32x16 x, int n) {
  alignas(32) float lanes[16];
  f32_store(lanes, x);
  for (int i = 0; i < n; ++i) p[i] = lanes[i];
}
CB_INLINE F32x16 operator+(F32x16 x, F32x16 y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
CB_INLINE F32x16 operator-(F32x16 x, F32x16 y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
CB_INLINE F32x16 operator*(F32x16 x, F32x16 y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
CB_INLINE F32x16 operator/(F32x16 x, F32x16 y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
CB_INLINE F32x16 f32_fma(F32x16 x, F32x16 y, F32x16 z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
CB_INLINE F32x16 f32_fnma(F32x16 x, F32x16 y, F32x16 z) {
  return {_mm256_fnmadd_ps(x.a, y.a, z.a), _mm256_fnmadd_ps(x.b, y.b, z.b)};
}
CB_INLINE F32x16 f32_max(F32x16 x, F32x16 y) { return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
CB_INLINE F32x16 f32_min(F32x16 x, F32x16 y) { return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)}; }
CB_INLINE F32x16 f32_abs(F32x16 x) {
  const __m256 mask = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  return {_mm256_and_ps(x.a, mask), _mm256_and_ps(x.b, mask)};
}
CB_INLINE F32x16 f32_less_select(F32x16 p, F32x16 q, F32x16 x, F32x16 y) {
  return {_mm256_blendv_ps(y.a, x.a, _mm256_cmp_ps(p.a, q.a, _CMP_LT_OQ)),
          _mm256_blendv_ps(y.b, x.b, _mm256_cmp_ps(p.b, q.b, _CMP_LT_OQ))};
}
CB_INLINE F32x16 f32_from_i32(I32x16 x) { return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)}; }
CB_INLINE I32x16 i32_round(F32x16 x) { return {_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b)}; }
CB_INLINE F32x16 f32_load_half(const std::uint16_t* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
}
CB_INLINE void f32_store_half(std::uint16_t* p, F32x16 x) {
  constexpr int kRound = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(x.a, kRound));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8), _mm256_cvtps_ph(x.b, kRound));
}
CB_INLINE F32x16 f32_load_bfloat16(const std::uint16_t* p) {
  const __m256i a = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  const __m256i b = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(a, 16)), _mm256_castsi256_ps(_mm256_slli_epi32(b, 16))};
}
CB_INLINE F32x16 f32_scale_by_power(F32x16 x, I32x16 e) {
  const __m256i bias = _mm256_set1_epi32(127);
  const __m256i a = _mm256_slli_epi32(_mm256_add_epi32(e.a, bias), 23);
  const __m256i b = _mm256_slli_epi32(_mm256_add_epi32(e.b, bias), 23);
  return {_mm256_mul_ps(x.a, _mm256_castsi256_ps(a)), _mm256_mul_ps(x.b, _mm256_castsi256_ps(b))};
}

CB_INLINE I32x16 i32_zero() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
CB_INLINE I32x16 i32_set(std::int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
CB_INLINE I32x16 operator+(I32x16 x, I32x16 y) { return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)}; }
CB_INLINE I32x16 operator*(I32x16 x, I32x16 y) { return {_mm256_mullo_epi32(x.a, y.a), _mm256_mullo_epi32(x.b, y.b)}; }
CB_INLINE I32x16 i32_load_i8(const std::uint8_t* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm256_cvtepi8_epi32(bytes), _mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8))};
}
CB_INLINE void i8_store(std::int8_t* p, I32x16 x) {
  alignas(32) std::int32_t lanes[16];
  _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), x.a);
  _mm256_store_si256(reinterpret_cast<__m256i*>(lanes + 8), x.b);
  for (int i = 0; i < 16; ++i) p[i] = static_cast<std::int8_t>(lanes[i]);
}
CB_INLINE std::int32_t i32_sum(I32x16 x) {
  const __m256i a8 = _mm256_add_epi32(x.a, x.b);
  const __m128i a4 = _mm_add_epi32(_mm256_castsi256_si128(a8), _mm256_extracti128_si256(a8, 1));
  const __m128i a2 = _mm_add_epi32(a4, _mm_shuffle_epi32(a4, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(a2, _mm_shuffle_epi32(a2, 0xb1)));
}
CB_INLINE float f32_sum(F32x16 x) {
  const __m256 a8 = _mm256_add_ps(x.a, x.b);
  const __m128 a4 = _mm_add_ps(_mm256_castps256_ps128(a8), _mm256_extractf128_ps(a8, 1));
  const __m128 a2 = _mm_add_ps(a4, _mm_movehl_ps(a4, a4));
  return _mm_cvtss_f32(_mm_add_ss(a2, _mm_movehdup_ps(a2)));
}
CB_INLINE float f32_maximum(F32x16 x) {
  const __m256 a8 = _mm256_max_ps(x.a, x.b);
  const __m128 a4 = _mm_max_ps(_mm256_castps256_ps128(a8), _mm256_extractf128_ps(a8, 1));
  const __m128 a2 = _mm_max_ps(a4, _mm_movehl_ps(a4, a4));
  return _mm_cvtss_f32(_mm_max_ss(a2, _mm_movehdup_ps(a2)));
}

CB_INLINE U8x64 u8_load(const std::uint8_t* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32))};
}
CB_INLINE U8x64 operator|(U8x64 x, U8x64 y) { return {_mm256_or_si256(x.a, y.a), _mm256_or_si256(x.b, y.b)}; }
template <int kShift, int kMask>
CB_INLINE U8x64 u8_shift_mask(U8x64 x) {
  const __m256i mask = _mm256_set1_epi8(static_cast<char>(kMask));
  if constexpr (kShift > 0) x = {_mm256_srli_epi16(x.a, kShift), _mm256_srli_epi16(x.b, kShift)};
  if constexpr (kShift < 0) x = {_mm256_slli_epi16(x.a, -kShift), _mm256_slli_epi16(x.b, -kShift)};
  return {_mm256_and_si256(x.a, mask), _mm256_and_si256(x.b, mask)};
}
CB_INLINE U8x64 u8_table(const std::uint8_t* table, U8x64 index) {
  const __m256i wide = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
  return {_mm256_shuffle_epi8(wide, index.a), _mm256_shuffle_epi8(wide, index.b)};
}

template <bool kFullRange>
CB_INLINE __m256i dot4_half(__m256i acc, __m256i w, __m256i xs) {
  if constexpr (!kFullRange) {
    const __m256i pairs = _mm256_maddubs_epi16(w, xs);
    return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
  // maddubs would saturate: multiply even and odd bytes as 16-bit numbers instead.
  const __m256i even = _mm256_madd_epi16(_mm256_and_si256(w, _mm256_set1_epi16(0xff)),
                                         _mm256_srai_epi16(_mm256_slli_epi16(xs, 8), 8));
  const __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(w, 8), _mm256_srai_epi16(xs, 8));
  return _mm256_add_epi32(acc, _mm256_add_epi32(even, odd));
}
template <bool kFullRange>
CB_INLINE I32x16 dot4(I32x16 acc, U8x64 w, const std::int8_t* x) {
  const __m256i xs = _mm256_set1_epi32(load_int32(x));
  return {dot4_half<kFullRange>(acc.a, w.a, xs), dot4_half<kFullRange>(acc.b, w.b, xs)};
}
