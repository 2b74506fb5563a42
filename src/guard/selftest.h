// Known answers of every kernel, on every processor.
//
// What: each product line and each float kernel computes a small problem drawn from a fixed seed;
//   the hash of its answer stands in selftest_golden.def and is the same on every instruction set
//   (docs/numerics.md). A processor that gives another one computes wrongly.
// How: one thread after the other, each held on its processor.
// Errors: none; what is wrong is in the result. Threads: one at a time.
// Reference: Hochschild et al., "Cores that don't count", HotOS 2021.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/kernels.h"

namespace checkbit {

struct KernelAnswer {
  std::string_view kernel;  ///< "g32_b8", "attend f16"
  std::uint64_t hash = 0;
};

/// In the order of selftest_golden.def.
std::vector<KernelAnswer> kernel_answers(const Kernels& kernels);
std::span<const KernelAnswer> golden_answers();

struct SelftestFault {
  int processor = 0;
  Isa isa = Isa::scalar;
  std::string_view kernel;
};

struct SelftestResult {
  std::vector<int> processors;  ///< that were tested
  std::vector<int> unreached;   ///< where the system held no thread
  std::uint64_t answers = 0;    ///< compared
  std::vector<SelftestFault> faults;
  double seconds = 0;
};

/// Precondition: the machine has the instruction sets.
SelftestResult run_selftest(std::span<const int> processors, std::span<const Isa> isas);

/// "processor 3 gives wrong answers (g32_b8 on avx2, and 4 more)"
std::string describe_faults(const SelftestResult& result);

}  // namespace checkbit
