#include <algorithm>

#include "cli/command.h"
#include "run/session.h"

namespace checkbit {

#define CHECKBIT_COMMAND(name) extern const Command name##_command;
#include "cli/commands.def"
#undef CHECKBIT_COMMAND
#define CHECKBIT_GUARD_COMMAND(name) extern const Command guard_##name##_command;
#include "cli/guard_commands.def"
#undef CHECKBIT_GUARD_COMMAND

namespace {

std::vector<const Command*> list_commands() {
  std::vector<const Command*> commands = {
#define CHECKBIT_COMMAND(name) &name##_command,
#include "cli/commands.def"
#undef CHECKBIT_COMMAND
  };
  const std::vector<const Command*> of_guard = {
#define CHECKBIT_GUARD_COMMAND(name) &guard_##name##_command,
#include "cli/guard_commands.def"
#undef CHECKBIT_GUARD_COMMAND
  };
  commands.insert(std::ranges::find(commands, &guard_command) + 1, of_guard.begin(),
                  of_guard.end());
  return commands;
}

}  // namespace

const std::vector<const Command*>& all_commands() {
  static const std::vector<const Command*> commands = list_commands();
  return commands;
}

const Command* find_command(std::string_view name) {
  const auto found = std::ranges::find(all_commands(), name, &Command::name);
  return found == all_commands().end() ? nullptr : *found;
}

std::string_view last_word(std::string_view name) {
  const std::size_t space = name.find(' ');
  return space == std::string_view::npos ? name : name.substr(space + 1);
}

std::vector<const Command*> sub_commands(std::string_view name) {
  std::vector<const Command*> found;
  for (const Command* command : all_commands()) {
    if (command->name.starts_with(name) && command->name.substr(name.size()).starts_with(' '))
      found.push_back(command);
  }
  return found;
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
