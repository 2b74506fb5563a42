// Languages of bit strings at growing lengths: what the probes parity and first_token share.
//
// What: every length has as many strings inside the language as outside. A question shows solved
//   short strings, then one to decide. Besides the score, the surprise at the right answer in bits
//   tells how sure a model is: 1 bit is a coin, and self-attention alone tends to it with length
//   where one symbol decides.
// Reference: Chiang and Cholak, "Overcoming a Theoretical Limitation of Self-Attention" (PARITY,
//   FIRST, cross-entropy per string).
// Threads: pure functions.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "measure/probes/probe.h"

namespace checkbit {

struct BitLanguage {
  std::string_view name;                    ///< of the probe
  std::string_view explanation;             ///< first line of every prompt
  std::string_view question;                ///< after the bits: ". The number of ones is"
  std::array<std::string_view, 2> answers;  ///< outside, inside the language
  bool (*holds)(std::span<const int> bits);
  /// Which bit to turn over to change the answer.
  std::size_t (*turn)(std::span<const int> bits);
};

std::vector<ProbeItem> bit_string_items(const BitLanguage& language, std::uint64_t seed,
                                        std::size_t count);

/// Scores the items and adds surprise by length: records of the shortest and longest, a chart, a
/// table.
Result<ProbeResult> run_bit_strings(const ProbeContext& context, const BitLanguage& language);

}  // namespace checkbit
