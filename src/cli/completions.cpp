#include "cli/completions.h"

#include <fmt/format.h>

#include <string_view>

#include "cli/command.h"

namespace checkbit {
namespace {

template <class Visit>
void for_each_flag(const Command& command, Visit visit) {
  for (const auto& flag : command.flags) visit(flag);
  for (const auto& flag : common_flags()) visit(flag);
}

/// Without sub-commands.
std::string command_names() {
  std::string names;
  for (const Command* command : all_commands()) {
    if (last_word(command->name) == command->name) names += fmt::format(" {}", command->name);
  }
  return names;
}

/// The bash function call that offers values of this kind; "" when there is nothing to offer.
std::string bash_offer(const Flag& value) {
  switch (value.kind) {
    case ValueKind::choice:
      return fmt::format("_checkbit_words '{}'", fmt::join(value.choices, " "));
    case ValueKind::path:
      return "_checkbit_files";
    case ValueKind::model:
      return "_checkbit_words \"$(checkbit completions models 2>/dev/null)\"; _checkbit_files";
    case ValueKind::recipe:
      return "_checkbit_words \"$(checkbit completions types 2>/dev/null)\"";
    case ValueKind::catalogue:
      return "_checkbit_words \"$(checkbit completions catalogue 2>/dev/null)\"";
    default:
      return "";
  }
}

std::string bash_flag_values(const Command& command) {
  std::string cases;
  for_each_flag(command, [&](const Flag& flag) {
    if (flag.kind == ValueKind::none) return;
    const std::string offer = bash_offer(flag);
    std::string pattern = fmt::format("'{}:{}'", command.name, flag.name);
    if (flag.short_name != 0) pattern += fmt::format("|'{}:-{}'", command.name, flag.short_name);
    cases += fmt::format("    {}) {}return ;;\n", pattern, offer.empty() ? "" : offer + "; ");
  });
  return cases;
}

std::string bash_command_case(const Command& command) {
  std::string flags;
  for_each_flag(command, [&](const Flag& flag) { flags += fmt::format("{} ", flag.name); });
  std::string offers;
  for (const auto& positional : command.positionals) {
    if (const std::string offer = bash_offer(positional); !offer.empty())
      offers += " " + offer + ";";
  }
  return fmt::format(
      "    '{}')\n      if [[ $cur == -* ]]; then _checkbit_words '{}'; else{} :; fi ;;\n",
      command.name, flags, offers);
}

/// Text inside a single-quoted zsh specification, where [ ] : ' have a meaning.
std::string zsh_text(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '\'') {
      escaped += "'\\''";
      continue;
    }
    if (c == '[' || c == ']' || c == ':') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

std::string zsh_action(const Flag& value) {
  switch (value.kind) {
    case ValueKind::choice:
      return fmt::format("({})", fmt::join(value.choices, " "));
    case ValueKind::path:
      return "_files";
    case ValueKind::model:
      return "_checkbit_models";
    case ValueKind::recipe:
      return "_checkbit_types";
    case ValueKind::catalogue:
      return "_checkbit_catalogue";
    default:
      return " ";
  }
}

std::string zsh_command_case(const Command& command) {
  std::string specifications;
  for_each_flag(command, [&](const Flag& flag) {
    const std::string value =
        flag.kind == ValueKind::none
            ? ""
            : fmt::format(":{}:{}", zsh_text(flag.value_name), zsh_action(flag));
    const std::string repeat = flag.repeatable ? "*" : "";
    specifications +=
        fmt::format(" \\\n        '{}{}[{}]{}'", repeat, flag.name, zsh_text(flag.help), value);
    if (flag.short_name != 0) {
      specifications += fmt::format(" \\\n        '{}-{}[{}]{}'", repeat, flag.short_name,
                                    zsh_text(flag.help), value);
    }
  });
  int position = 1;
  for (const auto& positional : command.positionals) {
    const std::string place = positional.repeatable ? "*" : std::to_string(position++);
    specifications += fmt::format(" \\\n        '{}:{}:{}'", place, zsh_text(positional.name),
                                  zsh_action(positional));
  }
  return fmt::format("      '{}')\n        _arguments -s{} ;;\n", command.name, specifications);
}

}  // namespace

std::string bash_completions() {
  std::string text =
      "# bash completion for checkbit, written by `checkbit completions bash`\n"
      "_checkbit_words() { local word; while IFS= read -r word; do COMPREPLY+=(\"$word\"); done "
      "< <(compgen -W \"$1\" -- \"$cur\"); }\n"
      "_checkbit_files() { local file; while IFS= read -r file; do COMPREPLY+=(\"$file\"); done "
      "< <(compgen -f -- \"$cur\"); }\n"
      "_checkbit() {\n"
      "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command='' i\n"
      "  COMPREPLY=()\n"
      "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
      "    case ${command:+$command }${COMP_WORDS[i]} in\n";
  std::string patterns;
  for (const Command* command : all_commands())
    patterns += fmt::format("{}'{}'", patterns.empty() ? "" : "|", command->name);
  text += fmt::format("      {}) command+=${{command:+ }}${{COMP_WORDS[i]}} ;;\n", patterns);
  text += "    esac\n  done\n  case $command:$prev in\n";
  for (const Command* command : all_commands()) text += bash_flag_values(*command);
  text += "  esac\n  case $command in\n";
  for (const Command* command : all_commands()) text += bash_command_case(*command);
  std::string common;
  for (const auto& flag : common_flags()) common += fmt::format(" {}", flag.name);
  text += fmt::format("    *) _checkbit_words '{}{}' ;;\n", command_names(), common);
  return text + "  esac\n}\ncomplete -o filenames -F _checkbit checkbit\n";
}

std::string zsh_completions() {
  std::string text =
      "#compdef checkbit\n"
      "# zsh completion for checkbit, written by `checkbit completions zsh`\n"
      "_checkbit_catalogue() { local -a names; names=(${(f)\"$(checkbit completions catalogue "
      "2>/dev/null)\"}); compadd -a names }\n"
      "_checkbit_types() { local -a names; names=(${(f)\"$(checkbit completions types "
      "2>/dev/null)\"}); compadd -a names }\n"
      "_checkbit_models() { local -a names; names=(${(f)\"$(checkbit completions models "
      "2>/dev/null)\"}); compadd -a names; _files }\n"
      "_checkbit() {\n"
      "  local context state state_descr line\n"
      "  typeset -A opt_args\n"
      "  local -a commands\n"
      "  commands=(\n";
  for (const Command* command : all_commands()) {
    if (last_word(command->name) == command->name)
      text += fmt::format("    '{}:{}'\n", command->name, zsh_text(command->summary));
  }
  text += "  )\n  _arguments -C";
  for (const auto& flag : common_flags()) {
    const std::string value =
        flag.kind == ValueKind::none ? "" : fmt::format(":{}: ", flag.value_name);
    text += fmt::format(" \\\n    '{}[{}]{}'", flag.name, zsh_text(flag.help), value);
  }
  text +=
      " \\\n    '1:command:->command' '*::argument:->argument'\n"
      "  case $state in\n"
      "    command) _describe command commands ;;\n"
      "    argument)\n";
  for (const Command* command : all_commands()) {
    if (sub_commands(command->name).empty()) continue;
    text += fmt::format(
        "      if [[ $words[1] == {0} ]] && (( CURRENT > 2 )); then\n"
        "        words=(\"{0} $words[2]\" \"${{(@)words[3,-1]}}\"); (( CURRENT-- ))\n      fi\n",
        command->name);
  }
  text += "      case $words[1] in\n";
  for (const Command* command : all_commands()) text += zsh_command_case(*command);
  return text +
         "      esac ;;\n  esac\n}\n"
         "if [ \"$funcstack[1]\" = _checkbit ]; then _checkbit \"$@\"; else compdef _checkbit "
         "checkbit; fi\n";
}

}  // namespace checkbit
