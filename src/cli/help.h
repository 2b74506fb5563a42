// Help from the command records: for the terminal and as docs/reference.md.
#pragma once

#include <string>

#include "cli/command.h"

namespace checkbit {

/// "checkbit inspect MODEL [flags]"
std::string synopsis(const Command& command);
std::string overview_help(const Terminal& terminal);
std::string command_help(const Command& command, const Terminal& terminal);
/// The whole reference; docs/reference.md is this text, and a test compares them.
std::string markdown_reference();

}  // namespace checkbit
