// How a fault ended.
//
// What: each injected fault is one of four things, and only the last is bad:
//     corrected  noticed, and what reached the user was as without it
//     detected   noticed, and what reached the user was not: it was told so
//     benign     not noticed, and what reached the user was the same to the bit
//     silent     not noticed, and it was not the same
// Threads: pure.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace checkbit {

enum class Outcome : std::uint8_t { corrected, detected, benign, silent, count };
inline constexpr std::size_t kOutcomes = static_cast<std::size_t>(Outcome::count);

constexpr std::string_view to_string(Outcome outcome) {
  constexpr std::array<std::string_view, kOutcomes> kNames = {"corrected", "detected", "benign",
                                                              "silent"};
  return kNames[static_cast<std::size_t>(outcome)];
}

constexpr Outcome classify(bool noticed, bool same_result) {
  return noticed ? (same_result ? Outcome::corrected : Outcome::detected)
                 : (same_result ? Outcome::benign : Outcome::silent);
}

/// How many of each.
struct OutcomeCounts {
  std::array<std::uint64_t, kOutcomes> of{};
  void add(Outcome outcome, std::uint64_t n = 1) { of[static_cast<std::size_t>(outcome)] += n; }
  void add(const OutcomeCounts& other) {
    for (std::size_t i = 0; i < kOutcomes; ++i) of[i] += other.of[i];
  }
  std::uint64_t operator[](Outcome outcome) const { return of[static_cast<std::size_t>(outcome)]; }
  std::uint64_t total() const {
    std::uint64_t sum = 0;
    for (const std::uint64_t n : of) sum += n;
    return sum;
  }
};

}  // namespace checkbit
