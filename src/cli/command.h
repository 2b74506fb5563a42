// A command as data: what `checkbit NAME` accepts, says about itself and does.
//
// What: each command_x.cpp defines one `Command`; commands.def lists them. From these records come
//   the parser, --help, docs/reference.md and the shell completions, so they cannot disagree.
// Errors: `check` rejects combinations of flags (usage error, exit status 2); `run` returns what
//   went wrong with the user's files or machine (exit status 1). Neither prints the error.
// Threads: records are constant. `run` is called from one thread.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/arguments.h"
#include "cli/console.h"

namespace checkbit {

enum class ValueKind {
  none,  ///< a switch
  text,
  integer,  ///< whole number, `minimum` and up
  number,
  bytes,     ///< 1500000, 120MiB, 1.5GB
  choice,    ///< one of `choices`
  path,      ///< completes to files
  model,     ///< a path or a pulled name
  recipe,    ///< a type or mix that `quantize` knows
  catalogue  ///< a name that `pull` knows
};

struct Flag {
  std::string_view name;  ///< "--context"; positional arguments: "MODEL"
  char short_name = 0;    ///< 'p' for -p
  ValueKind kind = ValueKind::none;
  std::string_view value_name;     ///< "N" in "--context N"
  std::string_view help;           ///< one sentence, no full stop
  std::string_view default_value;  ///< what Arguments returns when absent; "" for none
  double minimum = 0;              ///< integer and number
  double maximum = 0;              ///< 0: none
  std::vector<std::string_view> choices;
  bool repeatable = false;
  bool optional = false;  ///< positional arguments only; flags always are
  /// A choice that the flag stands for where none of its choices follows; "": one has to.
  std::string_view bare_value = "";
};

struct Example {
  std::string_view command;  ///< as typed
  std::string_view output;   ///< what it printed, or "" when that says nothing
};

struct Command {
  std::string_view name;         ///< "inspect"; of a sub-command "guard verify"
  std::string_view group;        ///< heading in `checkbit --help`; "" hides it there
  std::string_view summary;      ///< one line
  std::string_view description;  ///< paragraphs, separated by empty lines
  std::vector<Flag> positionals;
  std::vector<Flag> flags;
  std::vector<Example> examples;
  Status (*check)(const Arguments& arguments) = nullptr;
  Status (*run)(const Arguments& arguments, Console& console) = nullptr;
};

/// In the order of commands.def, sub-commands behind their command.
const std::vector<const Command*>& all_commands();
/// Null when unknown.
const Command* find_command(std::string_view name);
/// "verify" for "guard verify", else the name.
std::string_view last_word(std::string_view name);
/// Those whose name begins with this command's name and a space.
std::vector<const Command*> sub_commands(std::string_view name);
/// Accepted by every command, before or after its name.
const std::vector<Flag>& common_flags();

/// For commands that compare.
inline const Flag kAgainstFlag = {.name = "--against",
                                  .kind = ValueKind::model,
                                  .value_name = "REFERENCE",
                                  .help = "the model before it was quantized"};
/// For commands that draw.
inline const Flag kReportFlag = {.name = "--report",
                                 .kind = ValueKind::path,
                                 .value_name = "FILE",
                                 .help = "also write a page with charts"};
/// For commands that print figures.
inline const Flag kJsonFlag = {.name = "--json", .help = "print one JSON object and nothing else"};

}  // namespace checkbit
