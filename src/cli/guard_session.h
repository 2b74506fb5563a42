// The guard of a session that a command opens: its flags, its start, what it tells.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"
#include "report/record.h"
#include "run/session.h"

namespace checkbit {

/// --guard-every, --scrub-share and --explain.
void add_guard_flags(std::vector<Flag>& flags);
/// Their values.
void take_guard_flags(const Arguments& arguments, SessionOptions& options);

/// With a guard level other than off: every processor answers the self-test, then the session's
/// memory is guarded; with --explain prints the coverage table on standard error. Errors: corrupt
/// (a processor is wrong), memory.
Status start_guard(Session& session, Console& console);

/// The coverage table as text.
std::string render_coverage(Session& session);

/// What the guard has seen, after a last pass over everything; empty without a guard.
std::vector<Record> memory_records(const Console& console, const Session& session);
/// The same in a line: "guard: 3 flipped bits in 2 blocks mended"; "" without a guard.
std::string memory_summary(const Session& session);

}  // namespace checkbit
