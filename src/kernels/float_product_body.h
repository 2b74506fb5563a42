// Products of float weights with float activations. Included per instruction set.
// Canonical order: one fused multiply-add per column, columns in order, one accumulator per row.

template <FloatStorage kStorage>
CB_INLINE F32x16 load_weights(const std::uint8_t* panel, std::int64_t column) {
  if constexpr (kStorage == FloatStorage::f32)
    return f32_load(reinterpret_cast<const float*>(panel) + 16 * column);
  const auto* narrow = reinterpret_cast<const std::uint16_t*>(panel) + 16 * column;
  if constexpr (kStorage == FloatStorage::f16) return f32_load_half(narrow);
  return f32_load_bfloat16(narrow);
}

/// Accumulators that fit into the registers beside weights and activations.
inline constexpr int kFloatChains = CB_TOKEN_TILE == 8 ? 16 : 4;

/// kPanels x kTokens independent chains hide the latency of the multiply-add.
template <FloatStorage kStorage, int kPanels, int kTokens>
CB_INLINE void float_tile(const FloatProductArguments& a, std::int64_t first_panel,
                          std::int64_t first_token) {
  F32x16 acc[kPanels][kTokens];
  for (int p = 0; p < kPanels; ++p) {
    for (int t = 0; t < kTokens; ++t) acc[p][t] = f32_zero();
  }
  const std::uint8_t* panel = a.panels + first_panel * a.panel_bytes;
  const float* x = a.x + first_token * a.x_stride;
  for (std::int64_t column = 0; column < a.columns; ++column) {
    CB_UNROLL
    for (int p = 0; p < kPanels; ++p) {
      const F32x16 w = load_weights<kStorage>(panel + p * a.panel_bytes, column);
      CB_UNROLL
      for (int t = 0; t < kTokens; ++t) {
        acc[p][t] = f32_fma(w, f32_set(x[t * a.x_stride + column]), acc[p][t]);
      }
    }
  }
  for (int p = 0; p < kPanels; ++p) {
    for (int t = 0; t < kTokens; ++t) {
      f32_store(a.y + (first_token + t) * a.y_stride + 16 * (first_panel + p), acc[p][t]);
    }
  }
}

/// All tokens against kPanels panels: those come from memory once, however many tokens there are.
/// Two panels at a time read an activation half as often, four hide the latency for one token.
template <FloatStorage kStorage, int kPanels>
CB_NOINLINE void float_tokens(const FloatProductArguments& a, std::int64_t panel) {
  constexpr int kAtOnce = kPanels * CB_TOKEN_TILE <= kFloatChains ? kPanels : 1;
  std::int64_t token = 0;
  for (; token + CB_TOKEN_TILE <= a.n_tokens; token += CB_TOKEN_TILE) {
    for (int p = 0; p < kPanels; p += kAtOnce)
      float_tile<kStorage, kAtOnce, CB_TOKEN_TILE>(a, panel + p, token);
  }
  for (; token < a.n_tokens; ++token) float_tile<kStorage, kPanels, 1>(a, panel, token);
}

template <FloatStorage kStorage>
void float_product_of(const FloatProductArguments& a) {
  constexpr int kPanels = 4;
  std::int64_t panel = 0;
  if (a.n_tokens < CB_TOKEN_TILE) {
    for (; panel + kPanels <= a.n_panels; panel += kPanels)
      float_tokens<kStorage, kPanels>(a, panel);
  }
  for (; panel + 2 <= a.n_panels; panel += 2) float_tokens<kStorage, 2>(a, panel);
  for (; panel < a.n_panels; ++panel) float_tokens<kStorage, 1>(a, panel);
}

void float_product(const FloatProductArguments& a) {
  switch (a.storage) {
    case FloatStorage::f32:
      return float_product_of<FloatStorage::f32>(a);
    case FloatStorage::f16:
      return float_product_of<FloatStorage::f16>(a);
    case FloatStorage::bf16:
      return float_product_of<FloatStorage::bf16>(a);
  }
}
