// A measurement as JSON: what `checkbit measure --json` writes beside its records, and how it is
// read back for comparing two runs.
//
// What: one object with everything a story (story.h) holds. Two stories that were read back become
//   one, whose candidates stand side by side.
// Errors of reading: corrupt, naming the file and what is missing; unsupported for another version.
// Threads: pure functions.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "measure/story.h"

namespace checkbit {

/// What stands under "measurement".
nlohmann::ordered_json saved_measurement(const ComparisonStory& story);

/// Reads the whole of a `measure --json` file. `name`: the file, for errors.
Result<ComparisonStory> read_saved_run(std::string_view json, const std::string& name);

/// Both runs' candidates in one story, named apart; the reference, when both have the same, and the
/// run's summary are the first's. Errors: invalid where one has a reference and the other has none.
Result<ComparisonStory> join_runs(ComparisonStory first, const std::string& first_name,
                                  ComparisonStory second, const std::string& second_name);

/// Why the two cannot be paired window by window; empty when they can.
std::string pairing_obstacle(const ComparisonStory& first, const ComparisonStory& second);

}  // namespace checkbit
