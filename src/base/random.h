// Counter-based random numbers: the same number for the same (seed, stream, position), anywhere.
//
// What: `squares32` and `squares64` are the published Squares functions of a counter and a key;
//   `squares_key` makes an admissible key from any seed; `Random` walks the counter.
// Keys: Squares needs keys with a certain look. `squares_key` obeys the strictest published rule:
//   no hexadecimal digit is 0, the lower eight digits differ from each other, the upper eight
//   digits differ from each other, the two digits in the middle differ, the lowest digit is odd.
//   About 2^55 keys exist, so two seeds share one with negligible probability.
// Quality: passes the usual test batteries for up to 2^64 numbers per key. Not for secrets.
// Threads: functions are pure; a `Random` belongs to one thread.
// Reference: B. Widynski, "Squares: A Fast Counter-Based RNG", arXiv 2004.06278 (4 rounds give 32
//   bits, 5 rounds give 64); D. Lemire, "Fast Random Integer Generation in an Interval", 2019.
#pragma once

#include <cstdint>
#include <limits>

namespace checkbit {

/// 32 random bits: four rounds of Squares.
std::uint32_t squares32(std::uint64_t counter, std::uint64_t key);

/// 64 random bits: five rounds of Squares. The upper half equals squares32.
std::uint64_t squares64(std::uint64_t counter, std::uint64_t key);

/// An admissible key for any seed. Fixed for ever: saved seeds must keep their meaning.
std::uint64_t squares_key(std::uint64_t seed);

/// Whether a key obeys the rule above.
bool is_squares_key(std::uint64_t key);

/// A walk over the counter. Also a C++ UniformRandomBitGenerator of 64 bits.
class Random {
 public:
  using result_type = std::uint64_t;

  /// Streams of one seed do not overlap for the first 2^32 draws of each: the counter starts at
  /// stream * 2^32. Use the stream for what is independent: a token position, a replicate.
  explicit Random(std::uint64_t seed, std::uint64_t stream = 0)
      : key_(squares_key(seed)), counter_(stream << 32) {}

  static constexpr std::uint64_t min() { return 0; }
  static constexpr std::uint64_t max() { return std::numeric_limits<std::uint64_t>::max(); }
  std::uint64_t operator()() { return next(); }

  /// 64 random bits.
  std::uint64_t next() { return squares64(counter_++, key_); }

  /// A multiple of 2^-53 in [0, 1), each equally likely.
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }

  /// A multiple of 2^-24 in [0, 1), each equally likely.
  float uniform_float() { return static_cast<float>(next() >> 40) * 0x1p-24F; }

  /// An integer in [0, bound), without bias. Precondition: bound > 0.
  std::uint64_t below(std::uint64_t bound);

  std::uint64_t key() const { return key_; }
  std::uint64_t counter() const { return counter_; }
  void set_counter(std::uint64_t counter) { counter_ = counter; }

 private:
  std::uint64_t key_;
  std::uint64_t counter_;
};

}  // namespace checkbit
