// FIRST: does a string begin with a one? A single symbol decides, however long the string.
#include "measure/probes/bit_strings.h"

namespace checkbit {
namespace {

const BitLanguage kFirst = {
    .name = "first_token",
    .explanation = "Look only at the first bit of each string. Is it a one?",
    .question = ". Does it begin with 1?",
    .answers = {" no", " yes"},
    .holds = [](std::span<const int> bits) { return bits.front() == 1; },
    .turn = [](std::span<const int>) { return std::size_t{0}; }};

}  // namespace

extern const Probe first_token_probe;
const Probe first_token_probe = {
    .name = "first_token",
    .title = "First token",
    .papers = {185},
    .measures = "whether a bit string begins with 1, at lengths 1 to 64",
    .score = "every string is decided rightly; a coin gets a half",
    .generate = [](std::uint64_t seed,
                   std::size_t count) { return bit_string_items(kFirst, seed, count); },
    .run = [](const ProbeContext& context) { return run_bit_strings(context, kFirst); }};

}  // namespace checkbit
