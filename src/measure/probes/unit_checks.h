// Unit tests of a model that is open: what must hold of any correct decoder, whatever its weights.
//
// What: a list of claims, each with a check that evaluates a few made-up tokens. The first batch is
//   about what does not belong to a sequence: other sequences beside it, how it is cut into passes,
//   what is read later, what was forgotten. Equality means equal bits (docs/numerics.md).
// Reference: Papi et al., "When Good and Reproducible Results are a Giant with Feet of Clay": bugs
//   of exactly this kind (padding, positions) do not stop a model from giving good results, so they
//   must be looked for on their own; their library tests them on neural models.
// Errors: of the session, where the check itself cannot be made. A claim that does not hold is not
//   an error but a text that says what differs.
// Threads: as the session, which is left with an empty sequence.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "run/session.h"

namespace checkbit {

struct UnitCheck {
  std::string_view name;   ///< "batch size"
  std::string_view claim;  ///< what holds, a sentence without full stop
  /// "" when the claim holds, else what was found instead.
  Result<std::string> (*run)(Session& session, std::uint64_t seed);
};

std::span<const UnitCheck> all_unit_checks();

}  // namespace checkbit
