// Writing keys and values of one position into the cache. Included per instruction set. Layout:
// cache_layout.h; rounding: docs/numerics.md, "Attention".

CB_INLINE void store_cached(std::uint16_t* p, F32x16 x) { f32_store_half(p, x); }
CB_INLINE void store_cached(float* p, F32x16 x) { f32_store(p, x); }

template <class T>
CB_INLINE void store_key_value_as(const KeyValueStore& s) {
  T* key = static_cast<T*>(s.keys) + s.position / 16 * 16 * s.head_size + s.position % 16;
  for (std::int64_t d = 0; d < s.head_size; d += 16) {
    const int lanes = lanes_left(s.head_size, d);
    T element[16];
    store_cached(element, f32_load_partial(s.key + d, lanes));
    for (int i = 0; i < lanes; ++i) key[16 * (d + i)] = element[i];
  }
  T* value = static_cast<T*>(s.values) + s.position * s.value_size;
  for (std::int64_t d = 0; d < s.value_size; d += 16)
    store_cached(value + d, f32_load(s.value + d));
}

/// Rounds x[n], n <= 32, to 32 bytes, zeros at the end; returns their binary16 scale.
CB_INLINE std::uint16_t round_cached(const float* x, int n, std::int8_t* q) {
  const std::uint16_t half = float_to_half(largest_magnitude(x, n) / 127.0f);
  const float scale = half_to_float(half);
  const F32x16 inverse = f32_set(scale > 0.0f ? 1.0f / scale : 0.0f);
  for (int i = 0; i < kCacheGroup; i += 16) {
    const int lanes = n > i ? lanes_left(n, i) : 0;
    // A scale that was rounded down, as tiny ones are by much, asks for more than 127.
    const F32x16 scaled = f32_load_partial(x + i, lanes) * inverse;
    i8_store(q + i, i32_round(f32_max(f32_min(scaled, f32_set(127.0f)), f32_set(-127.0f))));
  }
  return half;
}

void store_key_value_q8(const KeyValueStore& s) {
  const std::int64_t lane = s.position % kCacheBlock;
  const auto store = [&](const float* x, std::int64_t size, void* cache, std::int64_t pair_stride,
                         std::int64_t first_byte) {
    const std::int64_t groups = cache_groups(size);
    std::uint8_t* block =
        static_cast<std::uint8_t*>(cache) + cache_bytes(CacheType::q8_0, size, s.position - lane);
    auto* scales = reinterpret_cast<std::uint16_t*>(block + groups * kCacheGroup * kCacheBlock);
    for (std::int64_t g = 0; g < groups; ++g) {
      std::int8_t q[kCacheGroup];
      const std::int64_t left = size - g * kCacheGroup;
      scales[g * kCacheBlock + lane] = round_cached(
          x + g * kCacheGroup, static_cast<int>(left < kCacheGroup ? left : kCacheGroup), q);
      std::uint8_t* out = block + first_byte + g * kCacheGroup / 2 * pair_stride;
      for (int i = 0; i < kCacheGroup; i += 2) std::memcpy(out + i / 2 * pair_stride, q + i, 2);
    }
  };
  store(s.key, s.head_size, s.keys, 2 * kCacheBlock, 2 * lane);
  store(s.value, s.value_size, s.values, 2, lane * cache_groups(s.value_size) * kCacheGroup);
}

void store_key_value(const KeyValueStore& s) {
  switch (s.cache_type) {
    case CacheType::f16:
      return store_key_value_as<std::uint16_t>(s);
    case CacheType::q8_0:
      return store_key_value_q8(s);
    case CacheType::f32:
      return store_key_value_as<float>(s);
  }
}
