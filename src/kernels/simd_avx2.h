// SIMD vocabulary for AVX2 with FMA and F16C: sixteen lanes as two registers.
// Included inside its namespace and target region; see isa_avx2.cpp. Contract: simd_scalar.h.

struct F32x16 {
  __m256 a, b;
};
struct I32x16 {
  __m256i a, b;
};
struct U8x64 {
  __m256i a, b;
};
struct I16x32 {
  __m256i a, b;
};

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
CB_INLINE F32x16 operator+(F32x16 x, F32x16 y) {
  return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)};
}
CB_INLINE F32x16 operator-(F32x16 x, F32x16 y) {
  return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)};
}
CB_INLINE F32x16 operator*(F32x16 x, F32x16 y) {
  return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)};
}
CB_INLINE F32x16 operator/(F32x16 x, F32x16 y) {
  return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)};
}
CB_INLINE F32x16 f32_fma(F32x16 x, F32x16 y, F32x16 z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
CB_INLINE F32x16 f32_fnma(F32x16 x, F32x16 y, F32x16 z) {
  return {_mm256_fnmadd_ps(x.a, y.a, z.a), _mm256_fnmadd_ps(x.b, y.b, z.b)};
}
CB_INLINE F32x16 f32_max(F32x16 x, F32x16 y) {
  return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)};
}
CB_INLINE F32x16 f32_min(F32x16 x, F32x16 y) {
  return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)};
}
CB_INLINE F32x16 f32_abs(F32x16 x) {
  const __m256 mask = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  return {_mm256_and_ps(x.a, mask), _mm256_and_ps(x.b, mask)};
}
CB_INLINE F32x16 f32_less_select(F32x16 p, F32x16 q, F32x16 x, F32x16 y) {
  return {_mm256_blendv_ps(y.a, x.a, _mm256_cmp_ps(p.a, q.a, _CMP_LT_OQ)),
          _mm256_blendv_ps(y.b, x.b, _mm256_cmp_ps(p.b, q.b, _CMP_LT_OQ))};
}
CB_INLINE F32x16 f32_from_i32(I32x16 x) {
  return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)};
}
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
  return {_mm256_castsi256_ps(_mm256_slli_epi32(a, 16)),
          _mm256_castsi256_ps(_mm256_slli_epi32(b, 16))};
}
CB_INLINE F32x16 f32_scale_by_power(F32x16 x, I32x16 e) {
  const __m256i bias = _mm256_set1_epi32(127);
  const __m256i a = _mm256_slli_epi32(_mm256_add_epi32(e.a, bias), 23);
  const __m256i b = _mm256_slli_epi32(_mm256_add_epi32(e.b, bias), 23);
  return {_mm256_mul_ps(x.a, _mm256_castsi256_ps(a)), _mm256_mul_ps(x.b, _mm256_castsi256_ps(b))};
}

CB_INLINE I32x16 i32_zero() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
CB_INLINE I32x16 i32_set(std::int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
CB_INLINE void i32_store(std::int32_t* p, I32x16 x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x.a);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 8), x.b);
}
CB_INLINE I32x16 i32_load(const std::int32_t* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 8))};
}
CB_INLINE I32x16 operator+(I32x16 x, I32x16 y) {
  return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)};
}
CB_INLINE I32x16 operator-(I32x16 x, I32x16 y) {
  return {_mm256_sub_epi32(x.a, y.a), _mm256_sub_epi32(x.b, y.b)};
}
template <int kShift>
CB_INLINE I32x16 i32_shift_left(I32x16 x) {
  return {_mm256_slli_epi32(x.a, kShift), _mm256_slli_epi32(x.b, kShift)};
}
CB_INLINE I32x16 i32_load_u8(const std::uint8_t* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm256_cvtepu8_epi32(bytes), _mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8))};
}
CB_INLINE I32x16 operator*(I32x16 x, I32x16 y) {
  return {_mm256_mullo_epi32(x.a, y.a), _mm256_mullo_epi32(x.b, y.b)};
}
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
CB_INLINE void u8_store(std::uint8_t* p, U8x64 x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x.a);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 32), x.b);
}
CB_INLINE U8x64 operator|(U8x64 x, U8x64 y) {
  return {_mm256_or_si256(x.a, y.a), _mm256_or_si256(x.b, y.b)};
}
template <int kShift, int kMask>
CB_INLINE U8x64 u8_shift_mask(U8x64 x) {
  const __m256i mask = _mm256_set1_epi8(static_cast<char>(kMask));
  if constexpr (kShift > 0) x = {_mm256_srli_epi16(x.a, kShift), _mm256_srli_epi16(x.b, kShift)};
  if constexpr (kShift < 0) x = {_mm256_slli_epi16(x.a, -kShift), _mm256_slli_epi16(x.b, -kShift)};
  return {_mm256_and_si256(x.a, mask), _mm256_and_si256(x.b, mask)};
}
template <int kShift, int kMask>
CB_INLINE U8x64 u8_merge(U8x64 low, U8x64 plane) {
  return low | u8_shift_mask<kShift, kMask>(plane);
}
CB_INLINE U8x64 u8_table(const std::uint8_t* table, U8x64 index) {
  const __m256i wide =
      _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
  return {_mm256_shuffle_epi8(wide, index.a), _mm256_shuffle_epi8(wide, index.b)};
}
CB_INLINE __m256i detail_table64(const std::uint8_t* table, __m256i index) {
  const auto quarter = [&](int i) {
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128(
                                   reinterpret_cast<const __m128i*>(table + 16 * i))),
                               index);
  };
  // Blends ask for bit 7 of a byte: bits 4 and 5 are brought there.
  const __m256i odd = _mm256_slli_epi16(index, 3);
  const __m256i high = _mm256_slli_epi16(index, 2);
  return _mm256_blendv_epi8(_mm256_blendv_epi8(quarter(0), quarter(1), odd),
                            _mm256_blendv_epi8(quarter(2), quarter(3), odd), high);
}
CB_INLINE U8x64 u8_table64(const std::uint8_t* table, U8x64 index) {
  return {detail_table64(table, index.a), detail_table64(table, index.b)};
}
CB_INLINE U8x64 u8_rotate(U8x64 x) {
  const __m256i order = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14));
  return {_mm256_shuffle_epi8(x.a, order), _mm256_shuffle_epi8(x.b, order)};
}

template <int kLargest>
CB_INLINE __m256i detail_dot4(__m256i acc, __m256i w, __m256i xs) {
  if constexpr (kLargest <= 127) {
    return _mm256_add_epi32(acc,
                            _mm256_madd_epi16(_mm256_maddubs_epi16(w, xs), _mm256_set1_epi16(1)));
  }
  // maddubs would saturate: multiply even and odd bytes as 16-bit numbers instead.
  const __m256i even = _mm256_madd_epi16(_mm256_and_si256(w, _mm256_set1_epi16(0xff)),
                                         _mm256_srai_epi16(_mm256_slli_epi16(xs, 8), 8));
  const __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(w, 8), _mm256_srai_epi16(xs, 8));
  return _mm256_add_epi32(acc, _mm256_add_epi32(even, odd));
}
template <int kLargest>
CB_INLINE __m256i detail_dot16(__m256i acc, __m256i w0, __m256i w1, __m256i w2, __m256i w3,
                               const __m256i* xs) {
  // Pairs of products fit into 16 bits four slices deep, or two.
  if constexpr (kLargest * 127 * 2 * 4 <= 32767) {
    const __m256i a =
        _mm256_add_epi16(_mm256_maddubs_epi16(w0, xs[0]), _mm256_maddubs_epi16(w1, xs[1]));
    const __m256i b =
        _mm256_add_epi16(_mm256_maddubs_epi16(w2, xs[2]), _mm256_maddubs_epi16(w3, xs[3]));
    return _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_add_epi16(a, b), _mm256_set1_epi16(1)));
  }
  if constexpr (kLargest * 127 * 2 * 2 <= 32767) {
    const __m256i a =
        _mm256_add_epi16(_mm256_maddubs_epi16(w0, xs[0]), _mm256_maddubs_epi16(w1, xs[1]));
    const __m256i b =
        _mm256_add_epi16(_mm256_maddubs_epi16(w2, xs[2]), _mm256_maddubs_epi16(w3, xs[3]));
    acc = _mm256_add_epi32(acc, _mm256_madd_epi16(a, _mm256_set1_epi16(1)));
    return _mm256_add_epi32(acc, _mm256_madd_epi16(b, _mm256_set1_epi16(1)));
  }
  acc = detail_dot4<kLargest>(acc, w0, xs[0]);
  acc = detail_dot4<kLargest>(acc, w1, xs[1]);
  acc = detail_dot4<kLargest>(acc, w2, xs[2]);
  return detail_dot4<kLargest>(acc, w3, xs[3]);
}
template <int kLargest, int kStride, int kTokens>
CB_INLINE void dot16(I32x16 (&acc)[kTokens], const U8x64 (&w)[4], const std::int8_t* x) {
  CB_UNROLL
  for (int t = 0; t < kTokens; ++t) {
    __m256i xs[4];
    CB_UNROLL
    for (int s = 0; s < 4; ++s) xs[s] = _mm256_set1_epi32(load_int32(x + 4 * s + kStride * t));
    acc[t] = {detail_dot16<kLargest>(acc[t].a, w[0].a, w[1].a, w[2].a, w[3].a, xs),
              detail_dot16<kLargest>(acc[t].b, w[0].b, w[1].b, w[2].b, w[3].b, xs)};
  }
}

template <int kBytes>
CB_INLINE I16x32 i16_load(const std::uint8_t* p) {
  const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  if constexpr (kBytes == 32) return {a, _mm256_setzero_si256()};
  return {a, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32))};
}
CB_INLINE I16x32 i16_load_i8(const std::uint8_t* p) {
  return {_mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 16)))};
}
CB_INLINE I16x32 i16_of_i32(I32x16 x) { return {x.a, x.b}; }
CB_INLINE I32x16 dot_pairs(I32x16 acc, I16x32 w, std::int32_t x) {
  const __m256i xs = _mm256_set1_epi32(x);
  return {_mm256_add_epi32(acc.a, _mm256_madd_epi16(w.a, xs)),
          _mm256_add_epi32(acc.b, _mm256_madd_epi16(w.b, xs))};
}
template <int kBytes>
CB_INLINE void prefetch(const std::uint8_t* p) {
  CB_UNROLL
  for (int i = 0; i < kBytes; i += 64)
    _mm_prefetch(reinterpret_cast<const char*>(p + i), _MM_HINT_T0);
}
