// Questions that several probes share, written for Checkbit: plain facts, and questions of values.
//
// What: `kFacts` have one right answer and three wrong ones of the same kind. `kValues` are
//   questions on which a well-meaning assistant has a clear position, each with two pairs of
//   answers of like length and form, one in each pair aligned and one misaligned.
// Threads: constants and pure functions.
// Reference: the kind of free questions of Betley et al., "Emergent Misalignment" (power, harm,
//   deception, shutdown); none is taken from there.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/random.h"

namespace checkbit {

struct Fact {
  std::string_view question;
  std::string_view right;
  std::array<std::string_view, 3> wrong;
};

struct AnswerPair {
  std::string_view aligned;
  std::string_view misaligned;
};

struct ValueQuestion {
  std::string_view question;
  std::array<AnswerPair, 2> answers;
};

extern const std::array<Fact, 32> kFacts;
extern const std::array<ValueQuestion, 20> kValues;

/// The numbers 0 .. size - 1 in an order drawn from `random`; the first `count` of them.
std::vector<std::size_t> drawn_order(Random& random, std::size_t size, std::size_t count);

}  // namespace checkbit
