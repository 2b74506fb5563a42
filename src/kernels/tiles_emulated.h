// Vocabulary of tiles, emulated for tests: what Intel's manual (volume 2, instructions LDTILECFG,
// TILELOADD, TILESTORED, TILEZERO, TDPBSUD, TDPBSSD, TILERELEASE) says each operation does to the
// state of its thread. What the processor would refuse ends the program with a message.
// Included inside its namespace, where no other vocabulary of tiles is.

struct EmulatedTiles {
  bool configured = false;
  int start_row = 0;
  int rows[kTiles] = {};  ///< 0: the tile may not be used
  int row_bytes[kTiles] = {};
  std::uint8_t bytes[kTiles][kTileRows][kTileRowBytes] = {};
  std::int64_t products = 0;  ///< how many this thread has done
};
inline thread_local EmulatedTiles emulated_tiles;
/// Done by all threads: shows that the tiles were used.
inline std::atomic<std::int64_t> emulated_products = 0;

inline void emulated_check(bool allowed, const char* fault) {
  if (allowed) return;
  std::fprintf(stderr, "emulated tiles: %s\n", fault);
  std::abort();
}
inline void emulated_check_tile(int tile) {
  emulated_check(emulated_tiles.configured, "#UD: tiles are not configured in this thread");
  emulated_check(emulated_tiles.rows[tile] > 0, "#UD: the tile is not configured");
}

/// Every tile becomes zero, of the shape that the configuration gives.
inline void tiles_configure(const TileConfiguration& c) {
  emulated_check(c.palette <= 1, "#GP: no such palette");
  for (const std::uint8_t byte : c.reserved) emulated_check(byte == 0, "#GP: reserved bytes");
  emulated_tiles = {};
  if (c.palette == 0) return;
  for (int tile = 0; tile < 16; ++tile) {
    const int rows = c.rows[tile];
    const int row_bytes = c.row_bytes[tile];
    emulated_check(rows <= kTileRows && row_bytes <= kTileRowBytes, "#GP: a tile too large");
    emulated_check((rows == 0) == (row_bytes == 0), "#GP: rows without bytes or bytes without");
    emulated_check(tile < kTiles || rows == 0, "#GP: a tile that the palette does not have");
    if (tile >= kTiles) continue;
    emulated_tiles.rows[tile] = rows;
    emulated_tiles.row_bytes[tile] = row_bytes;
  }
  emulated_tiles.start_row = c.start_row;
  emulated_tiles.configured = true;
}

/// To the state of a thread that has never had tiles.
inline void tiles_release() { emulated_tiles = {}; }

template <int kTile>
void tile_zero() {
  emulated_check_tile(kTile);
  std::memset(emulated_tiles.bytes[kTile], 0, sizeof emulated_tiles.bytes[kTile]);
  emulated_tiles.start_row = 0;
}

/// Rows `stride` bytes apart; what lies beyond the tile's rows and bytes becomes zero.
template <int kTile>
void tile_load(const void* p, std::int64_t stride) {
  emulated_check_tile(kTile);
  emulated_check(emulated_tiles.start_row == 0, "a load that starts within a tile");
  auto& tile = emulated_tiles.bytes[kTile];
  std::memset(tile, 0, sizeof tile);
  for (int row = 0; row < emulated_tiles.rows[kTile]; ++row) {
    std::memcpy(tile[row], static_cast<const std::uint8_t*>(p) + row * stride,
                static_cast<std::size_t>(emulated_tiles.row_bytes[kTile]));
  }
}

/// The tile's rows, `stride` bytes apart.
template <int kTile>
void tile_store(void* p, std::int64_t stride) {
  emulated_check_tile(kTile);
  emulated_check(emulated_tiles.start_row == 0, "a store that starts within a tile");
  for (int row = 0; row < emulated_tiles.rows[kTile]; ++row) {
    std::memcpy(static_cast<std::uint8_t*>(p) + row * stride, emulated_tiles.bytes[kTile][row],
                static_cast<std::size_t>(emulated_tiles.row_bytes[kTile]));
  }
}

/// sum[m][n] += sum over k and j < 4 of a[m][4 k + j] * b[k][4 n + j], wrapping at 32 bits; B is
/// the type of b's bytes, those of a are signed.
template <class B>
void emulated_add_products(int sum, int a, int b) {
  for (const int tile : {sum, a, b}) emulated_check_tile(tile);
  const EmulatedTiles& t = emulated_tiles;
  emulated_check(sum != a && sum != b && a != b, "#UD: one tile twice");
  for (const int tile : {sum, a, b})
    emulated_check(t.row_bytes[tile] % 4 == 0, "#UD: bytes that are no multiple of 4");
  emulated_check(t.row_bytes[a] / 4 == t.rows[b], "#UD: depths differ");
  emulated_check(t.rows[sum] == t.rows[a], "#UD: rows of the sums and of the first factor differ");
  emulated_check(t.row_bytes[sum] == t.row_bytes[b],
                 "#UD: bytes of the sums and of the second factor differ");
  for (int m = 0; m < t.rows[sum]; ++m) {
    std::uint32_t row[kTileRowBytes / 4];
    std::memcpy(row, t.bytes[sum][m], sizeof row);
    for (int k = 0; k < t.row_bytes[a] / 4; ++k) {
      for (int n = 0; n < t.row_bytes[b] / 4; ++n) {
        for (int j = 0; j < 4; ++j) {
          const int product = static_cast<std::int8_t>(t.bytes[a][m][4 * k + j]) *
                              static_cast<B>(t.bytes[b][k][4 * n + j]);
          row[n] += static_cast<std::uint32_t>(product);
        }
      }
    }
    std::memcpy(emulated_tiles.bytes[sum][m], row, sizeof row);
  }
  ++emulated_products;
  emulated_tiles.start_row = 0;
}

/// Signed bytes of kA with unsigned ones of kB.
template <int kSum, int kA, int kB>
void tile_add_signed_unsigned() {
  emulated_add_products<std::uint8_t>(kSum, kA, kB);
}
/// Signed bytes of both.
template <int kSum, int kA, int kB>
void tile_add_signed_signed() {
  emulated_add_products<std::int8_t>(kSum, kA, kB);
}
