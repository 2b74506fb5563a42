#include "cli/run_cli.h"

#include <fmt/format.h>

#include <algorithm>
#include <new>

#include "base/progress.h"
#include "base/thread_pool.h"
#include "cli/command.h"
#include "cli/help.h"
#include "cli/progress_bar.h"
#include "cli/version.h"
#include "report/text.h"

namespace checkbit {
namespace {

void print_error(Console& console, std::string_view message) {
  console.out.flush();
  console.err << "checkbit: " << console.err_terminal.style(Style::bad, "error:") << " "
              << clean_line(message) << "\n";
}

int usage_error(Console& console, const Error& error, const Command* command) {
  print_error(console, error.message);
  if (command != nullptr) {
    console.err << fmt::format("usage: {}\n", synopsis(*command))
                << fmt::format("`checkbit {} --help` explains it\n", command->name);
  } else {
    console.err << "`checkbit --help` lists the commands\n";
  }
  return kExitUsage;
}

/// Where the command's name stands, or from `i` on its sub-command's: after the common flags.
/// words.size() when there is none.
std::size_t find_command_word(const std::vector<std::string>& words, std::size_t i = 0) {
  while (i < words.size() && words[i].starts_with("-")) i += words[i] == "--threads" ? 2 : 1;
  return std::min(i, words.size());
}

bool asks_for(const std::vector<std::string>& words, std::string_view flag) {
  const auto end = std::ranges::find(words, "--");
  return std::find(words.begin(), end, flag) != end;
}

Error unknown_command(const std::string& word) {
  std::vector<std::string_view> names;
  for (const Command* command : all_commands()) names.push_back(command->name);
  const std::string_view suggestion = closest_match(word, names);
  return fail(ErrorKind::invalid, "unknown command '{}'{}", word,
              suggestion.empty() ? std::string() : fmt::format(": did you mean {}?", suggestion));
}

void apply_common_flags(const Arguments& arguments, Console& console) {
  // What is not given stays: a command may run others with its own console.
  if (arguments.has("--quiet")) console.quiet = true;
  if (arguments.has("--no-color")) {
    console.out_terminal.colour = false;
    console.err_terminal.colour = false;
  }
  if (arguments.has("--threads"))
    console.threads = static_cast<int>(arguments.integer("--threads"));
  if (console.threads == 0) console.threads = usable_processors();
}

int run_command(const Command& command, const Arguments& arguments, Console& console) {
  ProgressBar bar(console.err, console.err_terminal, console.quiet);
  clear_cancel();
  ProgressSink* const before = set_progress_sink(&bar);
  const Status status = command.run(arguments, console);
  set_progress_sink(before);
  bar.clear();
  console.out.flush();
  if (!status.ok() && cancel_requested()) {
    console.err << "checkbit: stopped\n";
    return kExitStopped;
  }
  if (!status.ok()) {
    print_error(console, status.error().message);
    return kExitError;
  }
  if (!console.out) {
    print_error(console, "standard output: the result could not be written");
    return kExitError;
  }
  return kExitDone;
}

int dispatch(const std::vector<std::string>& words, Console& console) {
  const std::size_t at = find_command_word(words);
  if (asks_for(words, "--no-color"))
    console.out_terminal.colour = console.err_terminal.colour = false;
  const bool help = asks_for(words, "--help") || asks_for(words, "-h");
  if (at == words.size()) {
    if (asks_for(words, "--version")) {
      console.out << fmt::format("checkbit {}\n", kVersion);
      return kExitDone;
    }
    const auto& flags = common_flags();
    const auto unknown = std::ranges::find_if(words, [&](const std::string& word) {
      return word.starts_with("-") && word != "-h" &&
             std::ranges::find(flags, word, &Flag::name) == flags.end();
    });
    if (unknown != words.end()) {
      return usage_error(console, fail(ErrorKind::invalid, "unknown flag {}", *unknown), nullptr);
    }
    console.out << overview_help(console.out_terminal);
    return kExitDone;
  }
  const Command* command = find_command(words[at]);
  if (command == nullptr) return usage_error(console, unknown_command(words[at]), nullptr);
  std::vector<std::string> rest = words;
  rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(at));
  if (const std::size_t next = find_command_word(rest, at); next < rest.size()) {
    if (const Command* sub = find_command(fmt::format("{} {}", command->name, rest[next]))) {
      command = sub;
      rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(next));
    } else if (!sub_commands(command->name).empty()) {
      return usage_error(console, unknown_command(fmt::format("{} {}", command->name, rest[next])),
                         command);
    }
  }
  if (help) {
    console.out << command_help(*command, console.out_terminal);
    return kExitDone;
  }
  const Result<Arguments> arguments = parse_arguments(*command, rest);
  if (!arguments.ok()) return usage_error(console, arguments.error(), command);
  if (command->check != nullptr) {
    if (const Status checked = command->check(*arguments); !checked.ok()) {
      return usage_error(console, checked.error(), command);
    }
  }
  apply_common_flags(*arguments, console);
  return run_command(*command, *arguments, console);
}

}  // namespace

int run_cli(const std::vector<std::string>& words, Console& console) {
  std::vector<std::string> line = {"checkbit"};
  line.insert(line.end(), words.begin(), words.end());
  console.command_line = shell_quote(line);
  try {
    const int status = dispatch(words, console);
    console.out.flush();
    return status;
  } catch (const std::bad_alloc&) {
    print_error(console, "out of memory");
    return kExitError;
  }
}

}  // namespace checkbit
