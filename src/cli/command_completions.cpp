// checkbit completions: what the shell offers when Tab is pressed.

#include <ostream>

#include "cli/command.h"
#include "cli/completions.h"
#include "file/catalogue.h"
#include "file/pull.h"
#include "quantize/plan.h"

namespace checkbit {
namespace {

Status run(const Arguments& arguments, Console& console) {
  const std::string what = arguments.text("WHAT");
  if (what == "bash") console.out << bash_completions();
  if (what == "zsh") console.out << zsh_completions();
  if (what == "models") {
    for (const auto& model : cached_models()) console.out << model.name << "\n";
  }
  if (what == "types") {
    for (const auto& recipe : all_recipes()) console.out << recipe.name << "\n";
  }
  if (what == "catalogue") {
    for (const auto& model : catalogue()) console.out << model.name << "\n";
  }
  return {};
}

}  // namespace

extern const Command completions_command;
const Command completions_command = {
    .name = "completions",
    .group = "Help",
    .summary = "print completions for bash or zsh",
    .description =
        "Prints a completion script for a shell, made from the same data as --help. `make install` "
        "installs both. The scripts ask for the names of models with `completions models` and "
        "`completions catalogue`, and for types with `completions types`.",
    .positionals = {{.name = "WHAT",
                     .kind = ValueKind::choice,
                     .help = "what to print",
                     .choices = {"bash", "zsh", "models", "types", "catalogue"}}},
    .examples = {{.command = "source <(checkbit completions bash)"},
                 {.command = "checkbit completions zsh > ~/.zfunc/_checkbit"}},
    .run = run};

}  // namespace checkbit
