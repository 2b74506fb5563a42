// Instruction sets: which the machine has, which one runs.
//
// What: the best one the processor and the operating system support is chosen at the first use;
//   the environment variable CHECKBIT_ISA (a name below) forces another. All give the same bits.
// Errors: a forced name that is unknown or that this machine lacks is an error, never a fallback.
// Threads: thread-safe after the first call.
#pragma once

#include <span>
#include <string_view>

#include "base/result.h"

namespace checkbit {

enum class Isa { scalar, avx2, avx512, avx512_vnni, amx, neon, neon_dotprod };

std::string_view to_string(Isa isa);
/// From slowest to fastest among those of one kind of processor.
std::span<const Isa> all_isas();
/// Of the processor and the operating system together. For amx the system is asked, once, to let
/// this process use tiles, and their answers are checked.
bool machine_has(Isa isa);
/// The forced or else the best one.
Result<Isa> select_isa();

}  // namespace checkbit
