// Shell completion scripts from the command records.
#pragma once

#include <string>

namespace checkbit {

std::string bash_completions();
std::string zsh_completions();

}  // namespace checkbit
