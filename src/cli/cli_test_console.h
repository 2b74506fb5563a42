// Runs the program in-process and keeps what it printed.
#pragma once

#include <sstream>
#include <string>
#include <vector>

#include "cli/run_cli.h"

namespace checkbit {

struct CliResult {
  int status = 0;
  std::string out;
  std::string err;
};

/// With `terminal`, both outputs count as a colour terminal. Text fills `width` columns in any
/// case.
inline CliResult run_in_process(const std::vector<std::string>& words,
                                const std::string& input = "", bool terminal = false,
                                int width = 80) {
  std::istringstream in(input);
  std::ostringstream out;
  std::ostringstream err;
  const Terminal described{
      .is_terminal = terminal, .colour = terminal, .unicode = terminal, .width = width};
  Console console{.in = in,
                  .out = out,
                  .err = err,
                  .in_terminal = described,
                  .out_terminal = described,
                  .err_terminal = described};
  const int status = run_cli(words, console);
  return {status, out.str(), err.str()};
}

}  // namespace checkbit
