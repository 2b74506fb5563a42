#include "kernels/isa.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/processor.h"
#include "kernels/isa_choice.h"

#if defined(__x86_64__)
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
/// Linux gives a process the 8 KiB of tile data only when asked (Documentation/arch/x86/xstate).
bool system_permits_tiles() {
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

/// Asked in this order, each only when the one before says yes. Precondition: AVX-512 with VNNI.
const Tiles& tiles() {
  static const Tiles found = [] {
    Tiles t;
    t.processor_has = processor_has_tiles();
    t.system_permits = t.processor_has && system_permits_tiles();
    t.answers_are_right = t.system_permits && isa_amx::tiles_work();
    return t;
  }();
  return found;
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
      return avx512 && __builtin_cpu_supports("avx512vnni") && why_not(tiles()).empty();
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

Isa best_isa() { return *std::ranges::find_if(kIsas.rbegin(), kIsas.rend(), machine_has); }

std::string_view why_not(const Tiles& tiles) {
  if (!tiles.processor_has) return "this processor does not have it";
  if (!tiles.system_permits) return "the system does not let this process use its tiles";
  return tiles.answers_are_right ? "" : "its tiles give wrong answers on this machine";
}

std::string_view why_not(Isa isa) {
  if (machine_has(isa)) return "";
#if defined(__x86_64__)
  if (isa == Isa::amx && machine_has(Isa::avx512_vnni)) return why_not(tiles());
#endif
  return why_not(Tiles{});
}

Result<Isa> select_isa() {
  const char* forced = std::getenv("CHECKBIT_ISA");
  if (forced == nullptr || *forced == '\0') return best_isa();
  const auto found = std::ranges::find(kNames, std::string_view(forced), &IsaName::name);
  if (found == kNames.end()) {
    std::string known;
    for (const IsaName& entry : kNames) known += fmt::format(" {}", entry.name);
    return fail(ErrorKind::invalid, "CHECKBIT_ISA={}: no such instruction set; known:{}", forced,
                known);
  }
  if (const std::string_view reason = why_not(found->isa); !reason.empty()) {
    return fail(ErrorKind::unsupported, "CHECKBIT_ISA={}: {}; unset it to use the best one", forced,
                reason);
  }
  return found->isa;
}

}  // namespace checkbit
