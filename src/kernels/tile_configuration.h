// How the eight tiles are shaped for products: the 64 bytes that LDTILECFG takes (palette 1).
//
// Tiles of one product of 16 rows with two blocks of 16 tokens, whose weights may have two planes:
//   0..3  sums         [16 tokens][16 rows] int32; tile 2 * block + plane
//   4, 5  activations  [16 tokens][depth] bytes, by block
//   6, 7  weights      [depth / 4][16 rows][4] bytes, by plane
// Reference: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, LDTILECFG.
// Threads: constants. Every thread configures tiles for itself.
#pragma once

#include <cstdint>

namespace checkbit {

struct TileConfiguration {
  std::uint8_t palette = 0;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {};  ///< of tiles 0..7; the rest must be zero
  std::uint8_t rows[16] = {};
};
static_assert(sizeof(TileConfiguration) == 64);

inline constexpr int kTiles = 8;
inline constexpr int kTileRows = 16;
inline constexpr int kTileRowBytes = 64;

/// `depth`: columns that one product of tiles adds up, a multiple of 4 up to 64.
constexpr TileConfiguration tile_configuration(int depth) {
  TileConfiguration c;
  c.palette = 1;
  for (int tile = 0; tile < kTiles; ++tile) {
    const bool activations = tile == 4 || tile == 5;
    const bool weights = tile >= 6;
    c.row_bytes[tile] = static_cast<std::uint16_t>(activations ? depth : kTileRowBytes);
    c.rows[tile] = static_cast<std::uint8_t>(weights ? depth / 4 : kTileRows);
  }
  return c;
}

}  // namespace checkbit
