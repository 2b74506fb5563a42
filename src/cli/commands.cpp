#include <algorithm>

#include "cli/command.h"
#include "run/session.h"

namespace checkbit {

#define CHECKBIT_COMMAND(name) extern const Command name##_command;
#include "cli/commands.def"
#undef CHECKBIT_COMMAND

const std::vector<const Command*>& all_commands() {
  static const std::vector<const Command*> commands = {
#define CHECKBIT_COMMAND(name) &name##_command,
#include "cli/commands.def"
#undef CHECKBIT_COMMAND
  };
  return commands;
}

const Command* find_command(std::string_view name) {
  const auto found = std::ranges::find(all_commands(), name, &Command::name);
  return found == all_commands().end() ? nullptr : *found;
}

const std::vector<Flag>& common_flags() {
  static const std::vector<Flag> flags = {
      {.name = "--threads",
       .kind = ValueKind::integer,
       .value_name = "N",
       .help = "threads to compute with; results do not depend on it [all processors]",
       .minimum = 1,
       .maximum = kMaxThreads},
      {.name = "--quiet", .short_name = 'q', .help = "no progress and no notes"},
      {.name = "--no-color", .help = "plain text; the variable NO_COLOR does the same"},
      {.name = "--help", .short_name = 'h', .help = "explain the command"},
      {.name = "--version", .help = "print the version"},
  };
  return flags;
}

}  // namespace checkbit
