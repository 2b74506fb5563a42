// Where a result may go, asked before the work that makes it.
//
// Errors: invalid (the path is a folder), not_found (its folder does not exist).
// Threads: any.
#pragma once

#include <string>

#include "base/result.h"

namespace checkbit {

Status check_output_path(const std::string& path);

}  // namespace checkbit
