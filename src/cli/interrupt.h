// Ctrl-C: the first asks running operations to stop, the second ends the program at once.
#pragma once

namespace checkbit {

/// For SIGINT and SIGTERM. Files are written under a temporary name and renamed when whole, so
/// neither way leaves a half-written result.
void install_interrupt_handlers();
/// SIGTERM came: what goes on after Ctrl-C must end as well.
bool termination_requested();

}  // namespace checkbit
