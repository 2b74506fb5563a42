// Estimates as records: the one way a measured figure with an interval gets its name and unit.
//
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <string>

#include "report/record.h"
#include "score/statistics.h"

namespace checkbit {

/// Without interval the record has none.
Record record_of(std::string name, std::string unit, const Estimate& estimate,
                 std::string command = "");

/// `hits` of `trials` as a share with its Wilson interval; 0 without trials.
Record share_of(std::string name, std::uint64_t hits, std::uint64_t trials,
                std::string command = "");

}  // namespace checkbit
