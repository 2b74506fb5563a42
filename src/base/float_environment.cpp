#include "base/float_environment.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace checkbit {
namespace {

#if defined(__x86_64__)
constexpr std::uint64_t kPlain = 0x1f80;  // all exceptions masked and nothing else
std::uint64_t control() { return _mm_getcsr(); }
void set_control(std::uint64_t value) { _mm_setcsr(static_cast<unsigned>(value)); }
#elif defined(__aarch64__)
constexpr std::uint64_t kPlain = 0;
std::uint64_t control() {
  std::uint64_t value = 0;
  __asm__ __volatile__("mrs %0, fpcr" : "=r"(value));
  return value;
}
void set_control(std::uint64_t value) { __asm__ __volatile__("msr fpcr, %0" : : "r"(value)); }
#else
#error "say here how this processor is told to round to nearest and to keep subnormals"
#endif

}  // namespace

FloatEnvironment::FloatEnvironment() : saved_(control()) { set_control(kPlain); }

FloatEnvironment::~FloatEnvironment() { set_control(saved_); }

}  // namespace checkbit
