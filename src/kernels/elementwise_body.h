// Norms, activations and other element-wise kernels. Included per instruction set.

/// exp(x) for x <= 88: 2^n p(r) with r = x - n ln 2 in two steps and a degree-6 polynomial
/// (coefficients of 1/k!, error below 2 ulp on |r| <= ln 2 / 2). Below -87 the result is 0.
CB_INLINE F32x16 vector_exp(F32x16 x) {
  const F32x16 clamped = f32_max(f32_min(x, f32_set(88.0f)), f32_set(-87.0f));
  const I32x16 n = i32_round(clamped * f32_set(1.44269504f));
  const F32x16 whole = f32_from_i32(n);
  F32x16 r = f32_fnma(whole, f32_set(0.693359375f), clamped);
  r = f32_fnma(whole, f32_set(-2.12194440e-4f), r);
  F32x16 p = f32_set(1.0f / 720.0f);
  p = f32_fma(p, r, f32_set(1.0f / 120.0f));
  p = f32_fma(p, r, f32_set(1.0f / 24.0f));
  p = f32_fma(p, r, f32_set(1.0f / 6.0f));
  p = f32_fma(p, r, f32_set(0.5f));
  p = f32_fma(p, r, f32_set(1.0f));
  p = f32_fma(p, r, f32_set(1.0f));
  return f32_less_select(x, f32_set(-87.0f), f32_zero(), f32_scale_by_power(p, n));
}

/// 1 / (1 + exp(-x)).
CB_INLINE F32x16 vector_sigmoid(F32x16 x) {
  const F32x16 one = f32_set(1.0f);
  return one / (one + vector_exp(f32_zero() - x));
}

CB_INLINE F32x16 silu(F32x16 x) { return x * vector_sigmoid(x); }

/// GELU in its tanh form: x sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3)).
CB_INLINE F32x16 gelu(F32x16 x) {
  const F32x16 cubic = f32_fma(f32_set(0.044715f) * x, x * x, x);
  return x * vector_sigmoid(f32_set(1.5957691216f) * cubic);
}

CB_INLINE int lanes_left(std::int64_t n, std::int64_t i) {
  return static_cast<int>(n - i < 16 ? n - i : 16);
}

void rms_norm(const float* x, const float* weight, float epsilon, std::int64_t n, float* out) {
  F32x16 squares[1] = {f32_zero()};
  OtherChains<1, (CB_CHAINS > 1)> others;
  CB_UNROLL_CHAINS
  for (std::int64_t i = 0; i < n; i += 16) {
    const F32x16 v = f32_load_partial(x + i, lanes_left(n, i));
    squares[0] = f32_fma(v, v, squares[0]);
    others.next(squares);
  }
  others.add_to(squares);
  const float mean = f32_sum(squares[0]) / static_cast<float>(n);
  const F32x16 inverse = f32_set(1.0f / std::sqrt(mean + epsilon));
  for (std::int64_t i = 0; i < n; i += 16) {
    const int lanes = lanes_left(n, i);
    const F32x16 normed = f32_load_partial(x + i, lanes) * inverse;
    f32_store_partial(out + i, normed * f32_load_partial(weight + i, lanes), lanes);
  }
}

void add(const float* x, std::int64_t n, float* inout) {
  for (std::int64_t i = 0; i < n; i += 16) {
    const int lanes = lanes_left(n, i);
    f32_store_partial(inout + i,
                      f32_load_partial(inout + i, lanes) + f32_load_partial(x + i, lanes), lanes);
  }
}

void scale(float factor, std::int64_t n, float* inout) {
  for (std::int64_t i = 0; i < n; i += 16) {
    const int lanes = lanes_left(n, i);
    f32_store_partial(inout + i, f32_load_partial(inout + i, lanes) * f32_set(factor), lanes);
  }
}

/// cap tanh(x / cap), with tanh(u) = 2 sigmoid(2u) - 1.
CB_INLINE F32x16 capped(F32x16 x, float cap) {
  const F32x16 sigmoid = vector_sigmoid(f32_set(2.0f / cap) * x);
  return f32_set(cap) * f32_fma(f32_set(2.0f), sigmoid, f32_set(-1.0f));
}

void softcap(float cap, std::int64_t n, float* inout) {
  for (std::int64_t i = 0; i < n; i += 16) {
    const int lanes = lanes_left(n, i);
    f32_store_partial(inout + i, capped(f32_load_partial(inout + i, lanes), cap), lanes);
  }
}

void silu_multiply(const float* gate, const float* up, std::int64_t n, float* out) {
  for (std::int64_t i = 0; i < n; i += 16) {
    const int lanes = lanes_left(n, i);
    f32_store_partial(
        out + i, silu(f32_load_partial(gate + i, lanes)) * f32_load_partial(up + i, lanes), lanes);
  }
}

void gelu_multiply(const float* gate, const float* up, std::int64_t n, float* out) {
  for (std::int64_t i = 0; i < n; i += 16) {
    const int lanes = lanes_left(n, i);
    f32_store_partial(
        out + i, gelu(f32_load_partial(gate + i, lanes)) * f32_load_partial(up + i, lanes), lanes);
  }
}

void exponentials(const float* x, float shift, std::int64_t n, float* out) {
  for (std::int64_t i = 0; i < n; i += 16) {
    const int lanes = lanes_left(n, i);
    f32_store_partial(out + i, vector_exp(f32_load_partial(x + i, lanes) - f32_set(shift)), lanes);
  }
}
