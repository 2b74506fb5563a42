#include <iostream>
#include <string>
#include <vector>

#include "cli/interrupt.h"
#include "cli/run_cli.h"

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  checkbit::install_interrupt_handlers();
  checkbit::Console console{.in = std::cin,
                            .out = std::cout,
                            .err = std::cerr,
                            .in_terminal = checkbit::describe_terminal(0),
                            .out_terminal = checkbit::describe_terminal(1),
                            .err_terminal = checkbit::describe_terminal(2)};
  return checkbit::run_cli(std::vector<std::string>(argv + 1, argv + argc), console);
}
