// Records as a table for people and as JSON for programs. (The HTML page is html.h.)
//
// Threads: pure functions.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

#include "report/record.h"

namespace checkbit {

struct TableOptions {
  std::size_t width = 80;
  bool colour = false;  ///< ANSI: only when the output is a terminal
};

/// One record a line: name, value with unit, interval; aligned. An interval that would pass `width`
/// moves to a line of its own. No line ends in spaces.
std::string render_table(std::span<const Record> records, const TableOptions& options = {});

/// {"records": [{"name", "value", "unit", "low", "high", "command"}], "environment": {...}} and a
/// newline. A record of one of several models has its name as "subject" too. `low` and `high` are
/// null without interval; a record's `text` stands as string in place
/// of its value; whole values print as integers. JSON has no infinity and no NaN: such a value is
/// null and the record gets one more key, "not_finite": "inf", "-inf" or "nan".
/// `extra`: an object whose members follow on the top level; `records` and `environment` are
/// reserved. Text that is not UTF-8 is replaced by U+FFFD.
std::string render_json(std::span<const Record> records, const Environment& environment,
                        const nlohmann::ordered_json& extra);
std::string render_json(std::span<const Record> records, const Environment& environment);

}  // namespace checkbit
