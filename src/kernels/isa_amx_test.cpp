// Products by tiles with the tile instructions emulated: the emulation refuses what a processor
// refuses, and every thread configures tiles for itself and lets them go. That the products are the
// reference's bits is tested with those of every instruction set, in product_test.cpp.

#include <gtest/gtest.h>

#include <thread>

#include "kernels/emulated_amx.h"
#include "kernels/kernel_test_inputs.h"

#if defined(__x86_64__)
// The same over AVX-512 with VNNI, which is what isa_amx.cpp compiles but for the tiles.
#if defined(__clang__)
#pragma clang attribute push(                                                               \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c"))), \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")
#endif
#define CB_TOKEN_TILE 8
#define CB_HAS_VNNI 1
namespace checkbit::emulated_amx_avx512 {

const Kernels& vector_kernels() { return kernels_for(Isa::avx512_vnni); }

#include "kernels/simd_avx512.h"
#include "kernels/tiles_emulated.h"
// The vocabularies come first.
#include "kernels/product_body.h"
#include "kernels/product_tiles_body.h"
}  // namespace checkbit::emulated_amx_avx512
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif  // __x86_64__

namespace checkbit {

std::vector<TestedKernels> emulated_kernels() {
  static const Kernels scalar = emulated_amx::make_kernels();
  std::vector<TestedKernels> all{{"emulated amx over scalar", &scalar}};
#if defined(__x86_64__)
  if (machine_has(Isa::avx512_vnni)) {
    static const Kernels avx512 = emulated_amx_avx512::make_kernels();
    all.push_back({"emulated amx over avx512_vnni", &avx512});
  }
#endif
  return all;
}

namespace {

TEST(EmulatedTiles, RefuseWhatAProcessorRefuses) {
  using namespace emulated_amx;
  EXPECT_DEATH(tile_zero<0>(), "#UD: tiles are not configured in this thread");
  EXPECT_DEATH(tile_load<4>("", 0), "#UD: tiles are not configured in this thread");
  EXPECT_DEATH((tile_add_signed_signed<0, 4, 6>()), "#UD: tiles are not configured");
  const auto configure = [](auto&& change) {
    TileConfiguration c = tile_configuration(32);
    change(c);
    tiles_configure(c);
  };
  EXPECT_DEATH(configure([](auto& c) { c.palette = 2; }), "#GP: no such palette");
  EXPECT_DEATH(configure([](auto& c) { c.reserved[13] = 1; }), "#GP: reserved bytes");
  EXPECT_DEATH(configure([](auto& c) { c.rows[1] = 17; }), "#GP: a tile too large");
  EXPECT_DEATH(configure([](auto& c) { c.row_bytes[1] = 65; }), "#GP: a tile too large");
  EXPECT_DEATH(configure([](auto& c) { c.rows[3] = 0; }), "#GP: rows without bytes");
  EXPECT_DEATH(configure([](auto& c) { c.rows[8] = c.row_bytes[8] = 4; }), "#GP: a tile that");
  const auto multiply = [&](auto&& change) {
    configure(change);
    tile_add_signed_unsigned<1, 5, 7>();
  };
  EXPECT_DEATH(multiply([](auto& c) { c.palette = 0; }), "#UD: tiles are not configured");
  EXPECT_DEATH(multiply([](auto& c) { c.rows[7] = c.row_bytes[7] = 0; }), "#UD: the tile is not");
  EXPECT_DEATH(multiply([](auto& c) { c.rows[7] = 7; }), "#UD: depths differ");
  EXPECT_DEATH(multiply([](auto& c) { c.row_bytes[5] = 33; }), "#UD: bytes that are no multiple");
  EXPECT_DEATH(multiply([](auto& c) { c.rows[5] = 15; }), "#UD: rows of the sums");
  EXPECT_DEATH(multiply([](auto& c) { c.row_bytes[7] = 60; }), "#UD: bytes of the sums");
  EXPECT_DEATH(
      {
        configure([](auto&) {});
        (tile_add_signed_signed<5, 5, 7>());
      },
      "#UD: one tile twice");
}

/// Sums wrap at 32 bits, rows beyond a tile's are zero, and what lies beyond its bytes is not read.
TEST(EmulatedTiles, DoWhatTheManualSays) {
  using namespace emulated_amx;
  TileConfiguration c;
  c.palette = 1;
  c.rows[0] = 2;
  c.row_bytes[0] = 8;
  c.rows[1] = 2;
  c.row_bytes[1] = 4;
  c.rows[2] = 1;
  c.row_bytes[2] = 8;
  tiles_configure(c);
  const std::int32_t start[] = {INT32_MAX, 7, -1, INT32_MIN};
  const std::int8_t a[] = {1, -2, 3, -128, 99, 0, 0, -1, 0, 99};
  const std::uint8_t b[] = {200, 1, 1, 255, 0, 0, 0, 128};
  tile_load<0>(start, 8);
  tile_load<1>(a, 5);
  tile_load<2>(b, 8);
  tile_add_signed_unsigned<0, 1, 2>();
  std::int32_t got[4];
  tile_store<0>(got, 8);
  EXPECT_EQ(got[0], static_cast<std::int32_t>(INT32_MAX + 200u - 2u + 3u - 128u * 255u));
  EXPECT_EQ(got[1], 7 - 128 * 128);
  EXPECT_EQ(got[2], -1 - 1);
  EXPECT_EQ(got[3], INT32_MIN);
  tile_add_signed_signed<0, 1, 2>();
  tile_store<0>(got, 8);
  EXPECT_EQ(got[1], 7 - 128 * 128 + 128 * 128);
  EXPECT_EQ(emulated_tiles.bytes[0][2][0], 0);
  EXPECT_EQ(emulated_tiles.bytes[0][0][8], 0);
  tile_zero<0>();
  tile_store<0>(got, 8);
  EXPECT_EQ(got[0], 0);
  tiles_release();
  EXPECT_FALSE(emulated_tiles.configured);
}

TEST(TiledProducts, CheckTheirInstructions) { EXPECT_TRUE(emulated_amx::tiles_work()); }

/// One q8-like product of sixteen tokens in several threads, none of which has had tiles before.
TEST(TiledProducts, EveryThreadConfiguresItsTilesAndReleasesThem) {
  const ProductLine& line = product_line(ProductKind::g32_b8);
  const PanelLayout layout = panel_layout(line.form);
  std::vector<std::uint8_t> panel(layout.record_bytes, 1);
  std::vector<std::int8_t> q(16 * 32, 1);
  std::vector<float> scales(16, 1.0f);
  std::vector<std::int32_t> starts(16, -32);
  const std::int64_t before = emulated_amx::emulated_products;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      std::vector<float> y(16 * 16, 1.0f);
      const Kernels kernels = emulated_amx::make_kernels();
      kernels.products[static_cast<int>(line.kind)]({.panels = panel.data(),
                                                     .panel_bytes = panel.size(),
                                                     .n_panels = 1,
                                                     .columns = 32,
                                                     .x = {q.data(), scales.data(), starts.data()},
                                                     .n_tokens = 16,
                                                     .y = y.data(),
                                                     .y_stride = 16});
      EXPECT_EQ(std::ranges::count(y, 0.0f), 16 * 16);  // 32 products of one, less 32
      EXPECT_FALSE(emulated_amx::emulated_tiles.configured);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(emulated_amx::emulated_products - before, 3);
}

}  // namespace
}  // namespace checkbit
