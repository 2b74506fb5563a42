// Where a command reads and prints.
//
// What: the three streams with what is known of each (terminal or not, width, colour), and the
//   settings that hold for every command. Results go to `out`; progress, notes and errors to `err`.
// Threads: one.
#pragma once

#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "cli/terminal.h"

namespace checkbit {

struct Console {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  Terminal in_terminal;  ///< only `is_terminal` means something
  Terminal out_terminal;
  Terminal err_terminal;
  bool quiet = false;        ///< no progress, no notes
  int threads = 0;           ///< 0 until run_cli sets it
  std::string command_line;  ///< as typed, quoted for a shell: the `command` of records

  /// One line of advice on `err`, unless quiet. Control characters are escaped.
  void note(std::string_view text);
  /// The same, unless it has been said.
  void note_once(const std::string& text);
  std::vector<std::string> said_once;
};

/// Quotes words so that a shell gives them back unchanged.
std::string shell_quote(const std::vector<std::string>& words);

}  // namespace checkbit
