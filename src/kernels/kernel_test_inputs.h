// For tests: instruction sets of this machine, random inputs, comparison of bits.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "base/random.h"
#include "kernels/kernels.h"

namespace checkbit {

inline std::vector<Isa> present_isas() {
  std::vector<Isa> present;
  std::ranges::copy_if(all_isas(), std::back_inserter(present), machine_has);
  return present;
}

struct TestedKernels {
  std::string name;
  const Kernels* kernels;
};
/// Those of isa_amx.cpp with emulated tiles; isa_amx_test.cpp makes them.
std::vector<TestedKernels> emulated_kernels();
/// Of every instruction set that the machine has, and the emulated ones.
inline std::vector<TestedKernels> tested_kernels() {
  std::vector<TestedKernels> all = emulated_kernels();
  for (const Isa isa : present_isas())
    all.push_back({std::string(to_string(isa)), &kernels_for(isa)});
  return all;
}

/// Uniform in [-size, size).
inline std::vector<float> random_floats(std::uint64_t seed, std::size_t count, float size = 1) {
  Random random(seed);
  std::vector<float> values(count);
  for (float& v : values) v = (2 * random.uniform_float() - 1) * size;
  return values;
}

/// The index of the first element whose bits differ, or -1.
template <class T>
std::ptrdiff_t first_difference(const std::vector<T>& a, const std::vector<T>& b) {
  if (a.size() != b.size()) return 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::memcmp(&a[i], &b[i], sizeof(T)) != 0) return static_cast<std::ptrdiff_t>(i);
  }
  return -1;
}

}  // namespace checkbit
