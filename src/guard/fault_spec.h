// A fault in one line: what is hit, how often and by what, reproducible from its text.
//
// What: `parse_fault_spec` reads "seed=7 rate=1e-6 field=scale tensor=blk.3.*" (keys in any order,
//   separated by spaces or commas), `to_string` writes it again with what is not the default. The
//   same text and trial number draw the same bits on every machine (base/random.h).
//     seed=N        what everything is drawn from (1)
//     in=PLACE      memory (packed weights and norms), file (bytes of the model file), activations
//                   (inputs of products), accumulators (results of products), kv, checks (1)
//     field=NAME    as formats/field_map.h selects: quant, scale, super_scale.exponent ... (all)
//     tensor=GLOB   with * and ?; layer=N
//     count=N       so many faults (1), or rate=P: each bit with probability P
//     burst=N       so many bits in a row from the one drawn (1)
//     stuck=0|1     bits are set to this instead of flipped
//     page=N        instead of bits, the aligned N bytes around the one drawn are lost: zeroed
//     token=N       happens when the token of this index is about to be evaluated (0: the first)
// Errors: invalid, naming the word and what would be right. Any bytes end in a spec or an error.
// Threads: pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "formats/field_map.h"

namespace checkbit {

enum class FaultPlace : std::uint8_t { memory, file, activations, accumulators, kv, checks, count };
std::string_view to_string(FaultPlace place);

struct FaultSpec {
  std::uint64_t seed = 1;
  FaultPlace place = FaultPlace::memory;
  FieldSelector field;
  std::string tensor = "*";
  std::int64_t layer = -1;  ///< -1: any
  std::uint64_t count = 1;  ///< read when rate is 0
  double rate = 0;          ///< 0 or 0 < rate < 1
  std::uint32_t burst = 1;
  std::optional<bool> stuck;
  std::uint64_t page_bytes = 0;  ///< 0 or a power of two
  std::uint64_t token = 0;
};

Result<FaultSpec> parse_fault_spec(std::string_view text);
std::string to_string(const FaultSpec& spec);

/// Whether a name matches a pattern of *, ? and plain characters.
bool matches_glob(std::string_view pattern, std::string_view name);

}  // namespace checkbit
