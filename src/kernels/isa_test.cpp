// The choice of an instruction set, and proof that the one chosen is the one that runs.

#include "kernels/isa.h"

#include <gtest/gtest.h>

#if defined(__x86_64__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>

#include "kernels/isa_choice.h"
#include "kernels/kernel_test_inputs.h"

namespace checkbit {
namespace {

/// Sets CHECKBIT_ISA and puts back what was there.
class ForcedIsa {
 public:
  explicit ForcedIsa(const char* value) {
    if (const char* old = std::getenv("CHECKBIT_ISA")) saved_ = old;
    value != nullptr ? setenv("CHECKBIT_ISA", value, 1) : unsetenv("CHECKBIT_ISA");
  }
  ~ForcedIsa() { saved_ ? setenv("CHECKBIT_ISA", saved_->c_str(), 1) : unsetenv("CHECKBIT_ISA"); }

 private:
  std::optional<std::string> saved_;
};

TEST(SelectIsa, EveryNameForcesItsOwn) {
  for (const Isa isa : all_isas()) {
    const ForcedIsa forced(std::string(to_string(isa)).c_str());
    const auto selected = select_isa();
    if (machine_has(isa)) {
      ASSERT_TRUE(selected.ok()) << selected.error().message;
      EXPECT_EQ(*selected, isa);
      EXPECT_EQ(kernels_for(*selected).isa, isa);
    } else {
      ASSERT_FALSE(selected.ok());
      EXPECT_EQ(selected.error().kind, ErrorKind::unsupported);
      EXPECT_EQ(selected.error().message,
                fmt::format("CHECKBIT_ISA={}: {}; unset it to use the best one", to_string(isa),
                            why_not(isa)));
      if (isa != Isa::amx) {
        EXPECT_EQ(why_not(isa), "this processor does not have it");
      }
    }
  }
}

TEST(SelectIsa, AnUnknownNameIsAnErrorNotAFallback) {
  for (const char* name : {"avx3", "AVX2", "avx2 ", "neo", "best"}) {
    const ForcedIsa forced(name);
    const auto selected = select_isa();
    ASSERT_FALSE(selected.ok()) << name;
    EXPECT_EQ(selected.error().kind, ErrorKind::invalid);
    EXPECT_EQ(selected.error().message,
              fmt::format(
                  "CHECKBIT_ISA={}: no such instruction set; known: scalar avx2 avx512 avx512_vnni "
                  "amx neon neon_dotprod",
                  name));
  }
}

TEST(SelectIsa, UnsetOrEmptyTakesTheBest) {
  for (const char* value : {static_cast<const char*>(nullptr), ""}) {
    const ForcedIsa forced(value);
    const auto selected = select_isa();
    ASSERT_TRUE(selected.ok()) << selected.error().message;
    EXPECT_EQ(*selected, present_isas().back());
    EXPECT_EQ(best_isa(), *selected);
  }
}

#if defined(__x86_64__)
/// Tiles are used where the processor has them and the system has been asked for them: without the
/// permission the first tile instruction would end the program.
TEST(MachineHas, TilesOnlyWithThePermissionToUseThem) {
  std::ifstream cpuinfo("/proc/cpuinfo");
  const std::string text((std::istreambuf_iterator<char>(cpuinfo)), {});
  const bool processor = text.find(" amx_tile") != std::string::npos &&
                         text.find(" amx_int8") != std::string::npos &&
                         text.find(" avx512_vnni") != std::string::npos;
  const bool usable = machine_has(Isa::amx);
  std::uint64_t permitted = 0;
  constexpr long kGetPermission = 0x1022;  // ARCH_GET_XCOMP_PERM
  const bool known = syscall(SYS_arch_prctl, kGetPermission, &permitted) == 0;
  constexpr std::uint64_t kTileData = 1u << 18;
  EXPECT_EQ(usable, processor && known && (permitted & kTileData) != 0);
  if (!processor) {
    EXPECT_EQ(why_not(Isa::amx), "this processor does not have it");
  }
}

TEST(WhyNot, TellsARefusalFromALack) {
  EXPECT_EQ(why_not(Tiles{}), "this processor does not have it");
  EXPECT_EQ(why_not(Tiles{.processor_has = true}),
            "the system does not let this process use its tiles");
  EXPECT_EQ(why_not(Tiles{.processor_has = true, .system_permits = true}),
            "its tiles give wrong answers on this machine");
  EXPECT_EQ(why_not(Tiles{true, true, true}), "");
  EXPECT_EQ(why_not(best_isa()), "");
}
#endif

/// But for amx, which takes everything but products from avx512_vnni.
TEST(KernelTables, AreCompleteAndShareNoCode) {
  EXPECT_TRUE(machine_has(Isa::scalar));
#define CHECKBIT_KERNEL(result, name, parameters)                                 \
  {                                                                               \
    std::set<const void*> seen;                                                   \
    for (const Isa isa : present_isas()) {                                        \
      const auto function = reinterpret_cast<const void*>(kernels_for(isa).name); \
      if (isa == Isa::amx) {                                                      \
        EXPECT_EQ(kernels_for(isa).name, kernels_for(Isa::avx512_vnni).name);     \
        continue;                                                                 \
      }                                                                           \
      EXPECT_NE(function, nullptr) << #name;                                      \
      EXPECT_TRUE(seen.insert(function).second)                                   \
          << #name << " of " << to_string(isa) << " is another's";                \
    }                                                                             \
  }
#include "kernels/kernels.def"
#undef CHECKBIT_KERNEL
}

}  // namespace
}  // namespace checkbit
