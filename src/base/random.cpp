#include "base/random.h"

#include <bit>

#include "base/result.h"

namespace checkbit {
namespace {

constexpr int kHalfDigits = 8;

std::uint64_t square_and_swap(std::uint64_t x, std::uint64_t addend) {
  return std::rotl(x * x + addend, 32);
}

/// SplitMix64: turns a seed of any quality into well mixed 64-bit words.
class KeyMixer {
 public:
  explicit KeyMixer(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    state_ += 0x9E3779B97F4A7C15U;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
  }

  /// The next hexadecimal digit that is set in `allowed`. Precondition: one is.
  std::uint64_t digit(std::uint32_t allowed) {
    for (;;) {
      const std::uint64_t candidate = next() >> 60;
      if ((allowed >> candidate & 1U) != 0) return candidate;
    }
  }

 private:
  std::uint64_t state_;
};

constexpr std::uint32_t kNonZeroDigits = 0xFFFE;
constexpr std::uint32_t kOddDigits = 0xAAAA;

/// Eight different digits, the first one from `first_allowed` (lowest digit first).
std::uint64_t draw_half(KeyMixer& mixer, std::uint32_t first_allowed) {
  std::uint32_t unused = kNonZeroDigits;
  std::uint64_t half = 0;
  for (int i = 0; i < kHalfDigits; ++i) {
    const std::uint64_t digit = mixer.digit(i == 0 ? first_allowed : unused);
    unused &= ~(1U << digit);
    half |= digit << (4 * i);
  }
  return half;
}

bool has_eight_different_digits(std::uint64_t half) {
  std::uint32_t seen = 0;
  for (int i = 0; i < kHalfDigits; ++i) seen |= 1U << (half >> (4 * i) & 0xF);
  return std::popcount(seen & kNonZeroDigits) == kHalfDigits;
}

}  // namespace

std::uint32_t squares32(std::uint64_t counter, std::uint64_t key) {
  const std::uint64_t y = counter * key;
  const std::uint64_t z = y + key;
  std::uint64_t x = square_and_swap(y, y);
  x = square_and_swap(x, z);
  x = square_and_swap(x, y);
  return static_cast<std::uint32_t>((x * x + z) >> 32);
}

std::uint64_t squares64(std::uint64_t counter, std::uint64_t key) {
  const std::uint64_t y = counter * key;
  const std::uint64_t z = y + key;
  std::uint64_t x = square_and_swap(y, y);
  x = square_and_swap(x, z);
  x = square_and_swap(x, y);
  const std::uint64_t fourth = x * x + z;
  x = std::rotl(fourth, 32);
  return fourth ^ ((x * x + y) >> 32);
}

std::uint64_t squares_key(std::uint64_t seed) {
  KeyMixer mixer(seed);
  const std::uint64_t lower = draw_half(mixer, kOddDigits);
  const std::uint32_t not_the_eighth = kNonZeroDigits & ~(1U << (lower >> 28));
  const std::uint64_t upper = draw_half(mixer, not_the_eighth);
  return upper << 32 | lower;
}

bool is_squares_key(std::uint64_t key) {
  const std::uint64_t lower = key & 0xFFFFFFFFU;
  const std::uint64_t upper = key >> 32;
  return (key & 1) == 1 && has_eight_different_digits(lower) && has_eight_different_digits(upper) &&
         lower >> 28 != (upper & 0xF);
}

std::uint64_t Random::below(std::uint64_t bound) {
  CB_CHECK(bound > 0);
  // Lemire: the upper word of bits * bound is uniform once the lower word is not in the short,
  // uneven part at the start.
  using Wide = unsigned __int128;
  Wide product = static_cast<Wide>(next()) * bound;
  if (static_cast<std::uint64_t>(product) < bound) {
    const std::uint64_t uneven = (0 - bound) % bound;
    while (static_cast<std::uint64_t>(product) < uneven) {
      product = static_cast<Wide>(next()) * bound;
    }
  }
  return static_cast<std::uint64_t>(product >> 64);
}

}  // namespace checkbit
