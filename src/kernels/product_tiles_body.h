// Products with 16 tokens and more, by tiles; fewer, and those left over, take the products of
// vector_kernels(). Included after product_body.h, per vocabulary of tiles. The bits are those of
// docs/numerics.md: integers are exact inside a scale group, and floats are added by the same
// add_scale_group, in the order of columns.
//
// Activations stand in blocks of 16 tokens as a tile takes them. So do the slices of a panel, once
// unpacked to bytes: 4 columns of 16 rows are one row of a tile. A tile of sums is [token][row],
// with rows in lanes. Sub-scales are folded into the weights: (q - offset) * sub_scale has 16 bits,
// whose low bytes (unsigned) and high bytes (signed) are two planes, multiplied apart. So a tile is
// as deep as it can be, and a scale group of 256 columns has one epilogue.

/// How products of one line of products.def use tiles.
template <class P>
struct Tiled {
  static constexpr int kGroup = P::kForm.scale_elements;
  static constexpr int kDepth = kGroup < kTileRowBytes ? kGroup : kTileRowBytes;
  static constexpr int kPlanes = P::kForm.has_sub_scale ? 2 : 1;
  /// Blocks of tokens at once: a chain of products waits for itself, so deep groups need several.
  static constexpr int kBlocks = kGroup > kDepth ? 2 : 1;
  /// Columns unpacked at once: the near cache holds them while all tokens pass.
  static constexpr int kChunk = 256;
  static constexpr int kChunkRecords = kChunk / P::kLayout.record_columns;
  static constexpr TileConfiguration kConfiguration = tile_configuration(kDepth);
};

template <class P>
struct TileWeights {
  alignas(64) std::uint8_t bytes[16 * Tiled<P>::kChunk];
  alignas(64) std::uint8_t planes[Tiled<P>::kPlanes == 2 ? 32 * Tiled<P>::kChunk : 1];
};

/// n_records from `record` on of a's first panel, as rows of tiles [column / 4][plane][16 rows][4].
template <class P>
CB_NOINLINE const std::uint8_t* unpack_chunk(const ProductArguments& a, std::int64_t record,
                                             int n_records, TileWeights<P>& weights) {
  constexpr PanelLayout kLayout = P::kLayout;
  ProductArguments chunk = a;
  chunk.panels += record * static_cast<std::int64_t>(kLayout.record_bytes);
  chunk.columns = n_records * kLayout.record_columns;
  chunk.scratch = weights.bytes;
  unpack_panel<P>(chunk);
  if constexpr (Tiled<P>::kPlanes == 1) return weights.bytes;
  const std::uint8_t* scales = chunk.panels + kLayout.sub_offset;
  for (int r = 0; r < n_records; ++r) {
    for (int column = 0; column < kLayout.record_columns; column += 4) {
      const int at = r * kLayout.record_columns + column;
      u8_fold(weights.planes + 32 * at, u8_load(weights.bytes + 16 * at), a.q_offset,
              scales + 16 * (column / P::kForm.sub_elements));
    }
    scales += kLayout.record_bytes;
  }
  return weights.planes;
}

template <int kBlock, int kPlanes>
CB_INLINE void zero_sums() {
  tile_zero<2 * kBlock>();
  if constexpr (kPlanes == 2) tile_zero<2 * kBlock + 1>();
}
/// The sums of a block and the activations at x, times the weights in tiles 6 and 7.
template <int kBlock, int kPlanes>
CB_INLINE void add_tile_products(const std::int8_t* x, std::int64_t stride) {
  tile_load<4 + kBlock>(x, stride);
  tile_add_signed_unsigned<2 * kBlock, 4 + kBlock, 6>();
  if constexpr (kPlanes == 2) tile_add_signed_signed<2 * kBlock + 1, 4 + kBlock, 7>();
}
template <int kBlock, int kPlanes>
CB_INLINE void store_sums(std::int32_t (&sums)[kPlanes][256]) {
  tile_store<2 * kBlock>(sums[0], kTileRowBytes);
  if constexpr (kPlanes == 2) tile_store<2 * kBlock + 1>(sums[1], kTileRowBytes);
}

/// Integer sums [block][plane][16 tokens][16 rows] of scale group `index` of the record.
template <class P, int kBlocks, int kPlanes>
CB_INLINE void group_tiles(const TileInputs (&in)[kBlocks], const std::uint8_t* weights, int index,
                           std::int32_t (&sums)[kBlocks][kPlanes][256]) {
  using T = Tiled<P>;
  constexpr std::int64_t kStride = P::kLayout.record_columns;
  zero_sums<0, kPlanes>();
  if constexpr (kBlocks == 2) zero_sums<1, kPlanes>();
  for (int at = index * T::kGroup; at < (index + 1) * T::kGroup; at += T::kDepth) {
    const std::uint8_t* w = weights + 16 * kPlanes * at;
    tile_load<6>(w, 64 * kPlanes);
    if constexpr (kPlanes == 2) tile_load<7>(w + 64, 64 * kPlanes);
    add_tile_products<0, kPlanes>(in[0].q + at, kStride);
    if constexpr (kBlocks == 2) add_tile_products<1, kPlanes>(in[1].q + at, kStride);
  }
  store_sums<0>(sums[0]);
  if constexpr (kBlocks == 2) store_sums<1>(sums[1]);
}

/// Eight tokens of a block: S of docs/numerics.md from the planes' sums, then its place in acc.
template <class P, int kPlanes>
CB_INLINE void add_sums(TileInputs in, int index, int lane,
                        const std::int32_t (&sums)[kPlanes][256], F32x16 (&acc)[8],
                        TileCheck<8>& check) {
  in.scales += lane;
  in.starts += lane;
  in.mins += P::kForm.has_min ? lane : 0;
  I32x16 total[8];
  CB_UNROLL
  for (int t = 0; t < 8; ++t) {
    total[t] = i32_load(sums[0] + 16 * (lane + t));
    if constexpr (kPlanes == 2) {
      total[t] = total[t] + i32_shift_left<8>(i32_load(sums[1] + 16 * (lane + t)));
    } else {
      total[t] = total[t] + i32_set(in.starts[index * kWidestBlock + t]);
    }
  }
  add_scale_group<P, kWidestBlock, 8>(in, index, total, acc, check);
}

/// Adds n_records from `record` on to y of kBlocks blocks of tokens, for a's first panel.
template <class P, int kBlocks>
CB_NOINLINE void tiled_chunk(const ProductArguments& a, std::int64_t token, std::int64_t record,
                             int n_records, const std::uint8_t* weights) {
  constexpr int kPlanes = Tiled<P>::kPlanes;
  TileInputs in[kBlocks];
  F32x16 acc[2 * kBlocks][8];
  TileCheck<8> checks[2 * kBlocks];
  CB_UNROLL
  for (int part = 0; part < 2 * kBlocks; ++part) checks[part].start(a.check);
  float* y = a.y + token * a.y_stride;
  CB_UNROLL
  for (int block = 0; block < kBlocks; ++block)
    in[block] = tile_inputs<P, kWidestBlock>(a, token + kWidestBlock * block, 0, record);
  CB_UNROLL
  for (int t = 0; t < kWidestBlock * kBlocks; ++t)
    acc[t / 8][t % 8] = record == 0 ? f32_zero() : f32_load(y + t * a.y_stride);
  for (int r = 0; r < n_records; ++r) {
    for (int index = 0; index < P::kLayout.n_scales; ++index) {
      alignas(64) std::int32_t sums[kBlocks][kPlanes][256];
      group_tiles<P>(in, weights, index, sums);
      CB_UNROLL
      for (int part = 0; part < 2 * kBlocks; ++part)
        add_sums<P>(in[part / 2], index, 8 * (part % 2), sums[part / 2], acc[part], checks[part]);
    }
    CB_UNROLL
    for (int block = 0; block < kBlocks; ++block) next_record<P, kWidestBlock, false>(in[block]);
    weights += 16 * kPlanes * P::kLayout.record_columns;
  }
  CB_UNROLL
  for (int t = 0; t < kWidestBlock * kBlocks; ++t) f32_store(y + t * a.y_stride, acc[t / 8][t % 8]);
  if (a.check.sums == nullptr) return;
  CB_UNROLL
  for (int part = 0; part < 2 * kBlocks; ++part) checks[part].finish(a.check, 0, token + 8 * part);
}

/// The first n_tokens, a multiple of kWidestBlock.
template <class P>
void tiled_panels(const ProductArguments& a, std::int64_t n_tokens) {
  using T = Tiled<P>;
  const std::int64_t records = a.columns / P::kLayout.record_columns;
  TileWeights<P> weights;
  tiles_configure(T::kConfiguration);
  for (std::int64_t panel = 0; panel < a.n_panels; ++panel) {
    const ProductArguments one = panels_from(a, panel);
    for (std::int64_t record = 0; record < records; record += T::kChunkRecords) {
      const std::int64_t left = records - record;
      const int n = left < T::kChunkRecords ? static_cast<int>(left) : T::kChunkRecords;
      const std::uint8_t* rows = unpack_chunk<P>(one, record, n, weights);
      std::int64_t token = 0;
      for (; token + kWidestBlock * T::kBlocks <= n_tokens; token += kWidestBlock * T::kBlocks)
        tiled_chunk<P, T::kBlocks>(one, token, record, n, rows);
      if (token < n_tokens) tiled_chunk<P, 1>(one, token, record, n, rows);
    }
  }
  tiles_release();
}

template <ProductKind kKind>
void tiled_product(const ProductArguments& a) {
  using P = Product<kKind>;
  const std::int64_t tiled = a.n_tokens / kWidestBlock * kWidestBlock;
  if (tiled > 0) tiled_panels<P>(a, tiled);
  if (tiled == a.n_tokens) return;
  ProductArguments rest = a;
  rest.x = activations_from(a.x, activation_form(P::kForm), a.columns, tiled);
  rest.n_tokens -= tiled;
  rest.y += tiled * a.y_stride;
  if (rest.check.sums != nullptr) rest.check.sums += 16 * tiled;
  vector_kernels().products[static_cast<int>(kKind)](rest);
}

/// One product of tiles of kDepth columns against plain sums.
template <int kDepth>
CB_NOINLINE bool tiles_multiply() {
  std::int8_t x[16][64];
  std::uint8_t w[2][16][64];
  std::int32_t sums[2][256];
  for (int i = 0; i < 16 * 64; ++i) {
    x[i / 64][i % 64] = static_cast<std::int8_t>(i * 89 % 255 - 127);
    w[0][i / 64][i % 64] = static_cast<std::uint8_t>(255 - i * 53 % 256);
    w[1][i / 64][i % 64] = static_cast<std::uint8_t>(i * 101 % 256);
  }
  static constexpr TileConfiguration kConfiguration = tile_configuration(kDepth);
  tiles_configure(kConfiguration);
  zero_sums<0, 2>();
  for (int twice = 0; twice < 2; ++twice) {
    tile_load<6>(w[0], 64);
    tile_load<7>(w[1], 64);
    add_tile_products<0, 2>(x[0], 64);
  }
  store_sums<0>(sums);
  tiles_release();
  for (int i = 0; i < 256; ++i) {
    std::int32_t low = 0, high = 0;
    for (int c = 0; c < kDepth; ++c) {
      const int at = i % 16 * 4 + c % 4;
      low += 2 * x[i / 16][c] * w[0][c / 4][at];
      high += 2 * x[i / 16][c] * static_cast<std::int8_t>(w[1][c / 4][at]);
    }
    if (sums[0][i] != low || sums[1][i] != high) return false;
  }
  return true;
}

/// That tiles compute what the products above rely on. Asked before they do.
bool tiles_work() {
  return tiles_multiply<16>() && tiles_multiply<32>() && tiles_multiply<kTileRowBytes>();
}

Kernels make_kernels() {
  Kernels k = vector_kernels();
  k.isa = Isa::amx;
#define CHECKBIT_PRODUCT(name, ...) \
  k.products[static_cast<int>(ProductKind::name)] = tiled_product<ProductKind::name>;
#include "kernels/products.def"
#undef CHECKBIT_PRODUCT
  return k;
}
