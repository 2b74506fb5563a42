#include "cli/help.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "report/text.h"

namespace checkbit {
namespace {

std::string flag_words(const Flag& flag) {
  const std::string value = flag.value_name.empty()   ? ""
                            : flag.bare_value.empty() ? fmt::format(" {}", flag.value_name)
                                                      : fmt::format("[={}]", flag.value_name);
  if (flag.name[0] != '-') return std::string(flag.name);
  if (flag.short_name != 0) return fmt::format("-{}, {}{}", flag.short_name, flag.name, value);
  return fmt::format("{}{}", flag.name, value);
}

std::string flag_text(const Flag& flag) {
  std::string text(flag.help);
  if (!flag.choices.empty()) text += fmt::format(" ({})", fmt::join(flag.choices, ", "));
  if (!flag.bare_value.empty()) text += fmt::format("; alone: {}", flag.bare_value);
  if (!flag.default_value.empty()) text += fmt::format(" [{}]", flag.default_value);
  return text;
}

/// "  --flag N   help", the help wrapped under itself.
std::string flag_rows(const std::vector<Flag>& flags, const Terminal& terminal) {
  constexpr std::size_t kWidestColumn = 26;
  std::size_t column = 0;
  for (const auto& flag : flags) {
    column = std::max(column, std::min(display_width(flag_words(flag)), kWidestColumn));
  }
  const int indent = static_cast<int>(column) + 4;
  std::string text;
  for (const auto& flag : flags) {
    const std::string words = flag_words(flag);
    const std::string help = wrap(flag_text(flag), terminal.width, indent);
    const bool fits = display_width(words) <= column;
    text += "  " + terminal.style(Style::accent, fits ? pad_right(words, column) : words);
    text += fits ? "  " + help.substr(static_cast<std::size_t>(indent)) : "\n" + help;
  }
  return text;
}

std::string heading(std::string_view text, const Terminal& terminal) {
  return "\n" + terminal.style(Style::heading, text) + "\n";
}

/// The command over as many lines as the width asks for, still one command for a shell.
std::vector<std::string> command_lines(std::string_view command, std::size_t room) {
  std::vector<std::string> lines = {""};
  bool quoted = false;
  std::string word;
  const auto end_word = [&] {
    std::string& line = lines.back();
    if (!line.empty() && display_width(line) + display_width(word) + 3 > room) {
      line += " \\";
      lines.push_back("  " + word);
    } else {
      line += line.empty() ? word : " " + word;
    }
    word.clear();
  };
  for (const char c : command) {
    if (c == '"' || c == '\'') quoted = !quoted;
    if (c == ' ' && !quoted) {
      end_word();
    } else {
      word += c;
    }
  }
  end_word();
  return lines;
}

std::string example_text(const Example& example, const Terminal& terminal) {
  std::string text;
  std::string_view mark = "$";
  for (const auto& line :
       command_lines(example.command, static_cast<std::size_t>(terminal.width) - 4)) {
    text += fmt::format("  {} {}\n", terminal.style(Style::dim, std::exchange(mark, " ")),
                        terminal.style(Style::bold, line));
  }
  for (std::size_t start = 0; start < example.output.size();) {
    const std::size_t end = std::min(example.output.find('\n', start), example.output.size());
    text += fmt::format("  {}\n", example.output.substr(start, end - start));
    start = end + 1;
  }
  return text;
}

std::vector<std::string_view> groups() {
  std::vector<std::string_view> found;
  for (const Command* command : all_commands()) {
    if (!command->group.empty() && std::ranges::find(found, command->group) == found.end()) {
      found.push_back(command->group);
    }
  }
  return found;
}

/// A bar would end the cell.
std::string table_cell(std::string text) {
  for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2)
    text.insert(at, "\\");
  return text;
}

std::string markdown_flags(const std::vector<Flag>& flags) {
  std::string text = "| Flag | What it does |\n|---|---|\n";
  for (const auto& flag : flags)
    text += fmt::format("| `{}` | {} |\n", flag_words(flag), table_cell(flag_text(flag)));
  return text;
}

std::string markdown_command(const Command& command) {
  std::string text = fmt::format("\n## checkbit {}\n\n```\n{}\n```\n\n{}\n", command.name,
                                 synopsis(command), command.description);
  std::vector<Flag> flags = command.positionals;
  flags.insert(flags.end(), command.flags.begin(), command.flags.end());
  if (!flags.empty()) text += "\n" + markdown_flags(flags);
  if (!command.examples.empty()) {
    text += "\n```\n";
    for (const auto& example : command.examples)
      text += fmt::format("$ {}\n{}{}", example.command, example.output,
                          example.output.empty() ? "" : "\n");
    text += "```\n";
  }
  return text;
}

}  // namespace

std::string synopsis(const Command& command) {
  std::string line = fmt::format("checkbit {}", command.name);
  for (const auto& positional : command.positionals) {
    const std::string name =
        fmt::format("{}{}", positional.name, positional.repeatable ? " ..." : "");
    line += positional.optional ? fmt::format(" [{}]", name) : fmt::format(" {}", name);
  }
  return command.flags.empty() ? line : line + " [flags]";
}

std::string overview_help(const Terminal& terminal) {
  std::string text = fmt::format(
      "{}: a language model in few bits, and what it cost\n\n  checkbit COMMAND [arguments]\n",
      terminal.style(Style::bold, "checkbit"));
  std::size_t column = 0;
  for (const Command* command : all_commands()) {
    if (!command->group.empty()) column = std::max(column, command->name.size());
  }
  for (const std::string_view group : groups()) {
    text += heading(group, terminal);
    for (const Command* command : all_commands()) {
      if (command->group != group) continue;
      const std::string summary =
          wrap(command->summary, terminal.width, static_cast<int>(column) + 4);
      text +=
          fmt::format("  {}  {}", terminal.style(Style::accent, pad_right(command->name, column)),
                      summary.substr(column + 4));
    }
  }
  text += heading("Flags of every command", terminal) + flag_rows(common_flags(), terminal);
  text += "\n" + wrap(
                     "MODEL is a path to a GGUF file or the name of a pulled model.\n"
                     "`checkbit COMMAND --help` shows a command's flags and examples.",
                     terminal.width, 0);
  return text;
}

std::string command_help(const Command& command, const Terminal& terminal) {
  std::string text = fmt::format("{}\n\n{}", terminal.style(Style::bold, synopsis(command)),
                                 wrap(command.description, terminal.width, 0));
  if (const auto subs = sub_commands(command.name); !subs.empty()) {
    std::vector<Flag> rows;
    for (const Command* sub : subs)
      rows.push_back({.name = last_word(sub->name), .help = sub->summary});
    text += heading("Commands", terminal) + flag_rows(rows, terminal);
  } else if (!command.positionals.empty()) {
    text += heading("Arguments", terminal) + flag_rows(command.positionals, terminal);
  }
  if (!command.flags.empty())
    text += heading("Flags", terminal) + flag_rows(command.flags, terminal);
  text += heading("Flags of every command", terminal) + flag_rows(common_flags(), terminal);
  if (!command.examples.empty()) {
    text += heading("Examples", terminal);
    bool first = true;
    for (const auto& example : command.examples) {
      if (!std::exchange(first, false) && !example.output.empty()) text += "\n";
      text += example_text(example, terminal);
    }
  }
  return text;
}

std::string markdown_reference() {
  std::string text =
      "# Reference\n\n"
      "Every command, from the same data as `--help`. Written by `checkbit help --markdown`; a "
      "test "
      "compares the two.\nMODEL is a path to a GGUF file or the name of a pulled model.\n\n"
      "Exit status: 0 done, 1 the input or the machine is at fault (one line on standard error "
      "says "
      "how), 2 wrong usage, 130 stopped by Ctrl-C.\n\n"
      "## Flags of every command\n\n";
  text += markdown_flags(common_flags());
  for (const Command* command : all_commands()) text += markdown_command(*command);
  return text;
}

}  // namespace checkbit
