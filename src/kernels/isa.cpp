#include "kernels/isa.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace checkbit {
#if defined(__x86_64__)
namespace isa_amx {
bool tiles_work();
}
#endif
namespace {

struct IsaName {
  Isa isa;
  std::string_view name;
};

constexpr std::array kNames = {IsaName{Isa::scalar, "scalar"},
                               IsaName{Isa::avx2, "avx2"},
                               IsaName{Isa::avx512, "avx512"},
                               IsaName{Isa::avx512_vnni, "avx512_vnni"},
                               IsaName{Isa::amx, "amx"},
                               IsaName{Isa::neon, "neon"},
                               IsaName{Isa::neon_dotprod, "neon_dotprod"}};
constexpr std::array kIsas = {Isa::scalar, Isa::avx2, Isa::avx512,      Isa::avx512_vnni,
                              Isa::amx,    Isa::neon, Isa::neon_dotprod};

#if defined(__x86_64__)
/// AMX-TILE and AMX-INT8. Precondition: AVX-512, so that XGETBV is there.
bool processor_has_tiles() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  constexpr unsigned kTileAndInt8 = 3u << 24;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  if ((edx & kTileAndInt8) != kTileAndInt8) return false;
  constexpr unsigned kTileStates = 3u << 17;  // configuration and data, saved by the system
  asm("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
  return (eax & kTileStates) == kTileStates;
}

/// Linux gives a process the 8 KiB of tile data only when asked (Documentation/arch/x86/xstate).
bool system_permits_tiles() {
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

bool tiles_usable() {
  static const bool usable =
      processor_has_tiles() && system_permits_tiles() && isa_amx::tiles_work();
  return usable;
}
#endif

}  // namespace

std::string_view to_string(Isa isa) {
  const auto found = std::ranges::find(kNames, isa, &IsaName::isa);
  return found == kNames.end() ? "unknown" : found->name;
}

std::span<const Isa> all_isas() { return kIsas; }

bool machine_has(Isa isa) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  switch (isa) {
    case Isa::scalar:
      return true;
    case Isa::avx2:
      return avx2;
    case Isa::avx512:
      return avx512;
    case Isa::avx512_vnni:
      return avx512 && __builtin_cpu_supports("avx512vnni");
    case Isa::amx:
      return avx512 && __builtin_cpu_supports("avx512vnni") && tiles_usable();
    case Isa::neon:
    case Isa::neon_dotprod:
      return false;
  }
#elif defined(__aarch64__)
  const unsigned long has = getauxval(AT_HWCAP);
  const bool neon = (has & HWCAP_ASIMD) != 0;
  if (isa == Isa::neon) return neon;
  if (isa == Isa::neon_dotprod) return neon && (has & HWCAP_ASIMDDP) != 0;
#endif
  return isa == Isa::scalar;
}

Result<Isa> select_isa() {
  const char* forced = std::getenv("CHECKBIT_ISA");
  if (forced == nullptr || *forced == '\0') {
    return *std::ranges::find_if(kIsas.rbegin(), kIsas.rend(), machine_has);
  }
  const auto found = std::ranges::find(kNames, std::string_view(forced), &IsaName::name);
  if (found == kNames.end()) {
    std::string known;
    for (const IsaName& entry : kNames) known += fmt::format(" {}", entry.name);
    return fail(ErrorKind::invalid, "CHECKBIT_ISA={}: no such instruction set; known:{}", forced,
                known);
  }
  if (!machine_has(found->isa)) {
    return fail(ErrorKind::unsupported,
                "CHECKBIT_ISA={}: this processor does not have it; unset it to use the best one",
                forced);
  }
  return found->isa;
}

}  // namespace checkbit
