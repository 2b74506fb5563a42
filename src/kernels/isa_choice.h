// Which instruction set is the best here, and why another cannot be used.
//
// Threads: thread-safe after the first call.
#pragma once

#include "kernels/isa.h"

namespace checkbit {

/// What runs when CHECKBIT_ISA forces nothing.
Isa best_isa();

/// What keeps the machine from an instruction set, as the rest of a sentence that names it; "" when
/// it has it.
std::string_view why_not(Isa isa);

/// The same for tiles, from what is known of them.
struct Tiles {
  bool processor_has = false;      ///< and the system saves them
  bool system_permits = false;     ///< to this process
  bool answers_are_right = false;  ///< known ones
};
std::string_view why_not(const Tiles& tiles);

}  // namespace checkbit
