// checkbit guard: the sub-commands that find and mend flipped bits (guard_commands.def).

#include <ostream>

#include "cli/command.h"
#include "cli/help.h"

namespace checkbit {

extern const Command guard_command;

namespace {

std::vector<std::string_view> names() {
  return {
#define CHECKBIT_GUARD_COMMAND(name) #name,
#include "cli/guard_commands.def"
#undef CHECKBIT_GUARD_COMMAND
  };
}

/// Without a sub-command: what there is.
Status run(const Arguments&, Console& console) {
  console.out << command_help(guard_command, console.out_terminal);
  return {};
}

}  // namespace

const Command guard_command = {
    .name = "guard",
    .group = "Models",
    .summary = "find, locate and mend flipped bits of a model",
    .description =
        "A model's weights are billions of bits that are written once and read for months. These "
        "commands add parity to a model file, find what has flipped, mend it, and prove that they "
        "do. `checkbit guard COMMAND --help` explains each.",
    .positionals = {{.name = "COMMAND",
                     .kind = ValueKind::choice,
                     .help = "what to do",
                     .choices = names(),
                     .optional = true}},
    .examples = {{.command = "checkbit guard"}},
    .run = run};

}  // namespace checkbit
