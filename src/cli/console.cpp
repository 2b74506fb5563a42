#include "cli/console.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "report/text.h"

namespace checkbit {

void Console::note(std::string_view text) {
  if (quiet) return;
  err << err_terminal.style(Style::dim, fmt::format("checkbit: {}", clean_line(text))) << "\n";
}

void Console::note_once(const std::string& text) {
  if (std::ranges::find(said_once, text) != said_once.end()) return;
  said_once.push_back(text);
  note(text);
}

std::string shell_quote(const std::vector<std::string>& words) {
  std::string line;
  for (const auto& word : words) {
    if (!line.empty()) line += ' ';
    const bool plain = !word.empty() && std::ranges::all_of(word, [](unsigned char c) {
      return std::isalnum(c) != 0 ||
             std::string_view("-_./:=,+@%").find(static_cast<char>(c)) != std::string_view::npos;
    });
    if (plain) {
      line += word;
      continue;
    }
    line += '\'';
    for (const char c : word) line += c == '\'' ? std::string("'\\''") : std::string(1, c);
    line += '\'';
  }
  return line;
}

}  // namespace checkbit
