// Binary32 as docs/numerics.md asks, whatever the calling program has set.
//
// What: for the life of the object, this thread rounds to nearest even, keeps subnormals, uses IEEE
//   halves and traps nothing; then what was set comes back. Threads of a ThreadPool always work so.
// Threads: sets the calling thread only.
#pragma once

#include <cstdint>

namespace checkbit {

class FloatEnvironment {
 public:
  FloatEnvironment();
  ~FloatEnvironment();
  FloatEnvironment(const FloatEnvironment&) = delete;
  FloatEnvironment& operator=(const FloatEnvironment&) = delete;

 private:
  std::uint64_t saved_ = 0;  ///< the processor's control register
};

}  // namespace checkbit
