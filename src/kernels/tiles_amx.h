// Vocabulary of tiles: the AMX instructions. Included inside its namespace; see isa_amx.cpp.
// The contract of every function stands in tiles_emulated.h.
//
// Written as assembly: the compilers' intrinsics take tile numbers as literals only, which a
// template cannot pass, and g++ 12's do not say that a load reads memory.

CB_INLINE void tiles_configure(const TileConfiguration& configuration) {
  asm volatile("ldtilecfg %0" : : "m"(configuration));
}
CB_INLINE void tiles_release() { asm volatile("tilerelease"); }
template <int kTile>
CB_INLINE void tile_zero() {
  asm volatile("tilezero %%tmm%c0" : : "i"(kTile));
}
template <int kTile>
CB_INLINE void tile_load(const void* p, std::int64_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(p), "r"(stride), "i"(kTile) : "memory");
}
template <int kTile>
CB_INLINE void tile_store(void* p, std::int64_t stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(p), "r"(stride), "i"(kTile) : "memory");
}
template <int kSum, int kA, int kB>
CB_INLINE void tile_add_signed_unsigned() {
  asm volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSum), "i"(kA), "i"(kB));
}
template <int kSum, int kA, int kB>
CB_INLINE void tile_add_signed_signed() {
  asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSum), "i"(kA), "i"(kB));
}
