// PARITY: does a string hold an odd number of ones? Every symbol decides.
#include <algorithm>
#include <numeric>

#include "measure/probes/bit_strings.h"

namespace checkbit {
namespace {

bool is_odd(std::span<const int> bits) {
  return std::accumulate(bits.begin(), bits.end(), 0) % 2 == 1;
}

const BitLanguage kParity = {
    .name = "parity",
    .explanation = "Count the ones of each string of bits. Is their number odd or even?",
    .question = ". The number of ones is",
    .answers = {" even", " odd"},
    .holds = is_odd,
    .turn = [](std::span<const int> bits) { return bits.size() - 1; }};

}  // namespace

extern const Probe parity_probe;
const Probe parity_probe = {
    .name = "parity",
    .title = "Parity",
    .papers = {185},
    .measures = "whether the ones of a bit string are odd in number, at lengths 1 to 64",
    .score = "every string is decided rightly; a coin gets a half",
    .generate = [](std::uint64_t seed,
                   std::size_t count) { return bit_string_items(kParity, seed, count); },
    .run = [](const ProbeContext& context) { return run_bit_strings(context, kParity); }};

}  // namespace checkbit
