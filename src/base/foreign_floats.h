// For tests: a program that has set other rules for floats than Checkbit's.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace checkbit {

/// For its life, this thread rounds upward and flushes subnormals to zero.
class ForeignFloats {
 public:
  ForeignFloats() {
#if defined(__x86_64__)
    _mm_setcsr(_MM_MASK_MASK | _MM_ROUND_UP | _MM_FLUSH_ZERO_ON);
#elif defined(__aarch64__)
    constexpr std::uint64_t kFlushToZero = 1u << 24, kRoundUp = 1u << 22;
    set(kFlushToZero | kRoundUp);
#endif
  }
  ~ForeignFloats() {
#if defined(__x86_64__)
    _mm_setcsr(_MM_MASK_MASK);
#elif defined(__aarch64__)
    set(0);
#endif
  }
  ForeignFloats(const ForeignFloats&) = delete;
  ForeignFloats& operator=(const ForeignFloats&) = delete;

#if defined(__aarch64__)
 private:
  static void set(std::uint64_t value) { __asm__ __volatile__("msr fpcr, %0" : : "r"(value)); }
#endif
};

}  // namespace checkbit
