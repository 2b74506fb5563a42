#include "kernels/isa.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace checkbit {
namespace {

struct IsaName {
  Isa isa;
  std::string_view name;
};

constexpr std::array kNames = {
    IsaName{Isa::scalar, "scalar"}, IsaName{Isa::avx2, "avx2"},
    IsaName{Isa::avx512, "avx512"}, IsaName{Isa::avx512_vnni, "avx512_vnni"},
    IsaName{Isa::neon, "neon"},     IsaName{Isa::neon_dotprod, "neon_dotprod"}};
constexpr std::array kIsas = {Isa::scalar,      Isa::avx2, Isa::avx512,
                              Isa::avx512_vnni, Isa::neon, Isa::neon_dotprod};

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
