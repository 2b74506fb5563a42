// Four float lanes; the compiler maps them to whatever the processor has.
//
// Numbers: lanes are added in one fixed order, so sums are the same bits on every machine.
#pragma once

#include <cstring>

namespace checkbit {

using Lanes = float __attribute__((vector_size(16)));
inline constexpr int kLanes = 4;

inline Lanes load_lanes(const float* from) {
  Lanes lanes;
  std::memcpy(&lanes, from, sizeof(lanes));
  return lanes;
}

inline float sum(Lanes v) { return (v[0] + v[2]) + (v[1] + v[3]); }

inline Lanes smaller(Lanes a, Lanes b) { return a < b ? a : b; }

}  // namespace checkbit
