// Rotary position embedding: frequencies with scaling, and tables of sine and cosine per position.
//
// What: element pair i of a head turns by position * frequency[i]; all scaling methods (linear,
//   Llama 3 factors, YaRN) only change the frequencies and one amplitude.
// Reference: RoFormer (arXiv 2104.09864), YaRN (2309.00071) equations 15 to 17 and 22.
// Threads: const after creation.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "arch/architecture.h"

namespace checkbit {

class Rope {
 public:
  /// `factors`: null or [dimensions / 2] divisors of the frequencies (Llama 3's rope_freqs tensor).
  Rope(const RopeParameters& parameters, const float* factors);

  std::int64_t pairs() const { return static_cast<std::int64_t>(frequencies_.size()); }
  /// False when metadata or factors made a frequency or the amplitude that no angle can follow.
  bool usable() const;
  /// What every table is made of; nobody writes it again.
  std::span<std::uint8_t> read_only_bytes() {
    return {reinterpret_cast<std::uint8_t*>(frequencies_.data()),
            frequencies_.size() * sizeof(double)};
  }
  /// Precondition: usable(). cosines and sines [pairs()] at a position, times the amplitude.
  void table(std::int64_t position, float* cosines, float* sines) const;

 private:
  std::vector<double> frequencies_;
  double amplitude_ = 1;
};

/// Turns one head in place. `pairs` may be less than half the head: the rest stays.
void rotate(float* head, std::int64_t pairs, RopePairing pairing, const float* cosines,
            const float* sines);

}  // namespace checkbit
