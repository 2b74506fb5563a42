// checkbit help: the same as --help, and the reference for docs/.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <ostream>

#include "cli/command.h"
#include "cli/help.h"

namespace checkbit {
namespace {

Status run(const Arguments& arguments, Console& console) {
  if (arguments.has("--markdown")) {
    console.out << markdown_reference();
    return {};
  }
  const auto words = arguments.texts("COMMAND");
  if (words.empty()) {
    console.out << overview_help(console.out_terminal);
    return {};
  }
  const std::string name = fmt::format("{}", fmt::join(words, " "));
  const Command* command = find_command(name);
  if (command == nullptr) return fail(ErrorKind::not_found, "there is no command '{}'", name);
  console.out << command_help(*command, console.out_terminal);
  return {};
}

}  // namespace

extern const Command help_command;
const Command help_command = {
    .name = "help",
    .group = "Help",
    .summary = "explain a command",
    .description = "Lists the commands, or explains one: the same as --help.",
    .positionals = {{.name = "COMMAND",
                     .kind = ValueKind::text,
                     .help = "the command to explain",
                     .repeatable = true,
                     .optional = true}},
    .flags = {{.name = "--markdown", .help = "print the reference of all commands as Markdown"}},
    .examples = {{.command = "checkbit help inspect"},
                 {.command = "checkbit help guard"},
                 {.command = "checkbit help --markdown > docs/reference.md"}},
    .run = run};

}  // namespace checkbit
