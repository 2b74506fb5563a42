// One tile of add_products, included once per instruction set with CHECKBIT_TILE(name) defined.
//
// What: c [6][16] += sum over k of a[k][6] x b[k][16]. No include guard: it is read several times.

CHECKBIT_TILE_TARGET void CHECKBIT_TILE_NAME(const float* a, const float* b, std::int64_t depth,
                                             float* c) {
  Wide c00 = *wide(c + 0), c01 = *wide(c + 8), c10 = *wide(c + 16), c11 = *wide(c + 24);
  Wide c20 = *wide(c + 32), c21 = *wide(c + 40), c30 = *wide(c + 48), c31 = *wide(c + 56);
  Wide c40 = *wide(c + 64), c41 = *wide(c + 72), c50 = *wide(c + 80), c51 = *wide(c + 88);
  for (std::int64_t k = 0; k < depth; ++k) {
    const Wide b0 = *wide(b), b1 = *wide(b + 8);
    c00 += a[0] * b0;
    c01 += a[0] * b1;
    c10 += a[1] * b0;
    c11 += a[1] * b1;
    c20 += a[2] * b0;
    c21 += a[2] * b1;
    c30 += a[3] * b0;
    c31 += a[3] * b1;
    c40 += a[4] * b0;
    c41 += a[4] * b1;
    c50 += a[5] * b0;
    c51 += a[5] * b1;
    a += 6;
    b += 16;
  }
  *wide(c + 0) = c00, *wide(c + 8) = c01, *wide(c + 16) = c10, *wide(c + 24) = c11;
  *wide(c + 32) = c20, *wide(c + 40) = c21, *wide(c + 48) = c30, *wide(c + 56) = c31;
  *wide(c + 64) = c40, *wide(c + 72) = c41, *wide(c + 80) = c50, *wide(c + 88) = c51;
}
