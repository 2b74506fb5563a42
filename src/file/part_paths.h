// The files that a model path stands for.
#pragma once

#include <string>
#include <vector>

namespace checkbit {

/// All parts of the set for a name like model-00001-of-00003.gguf, in order; else the path itself.
/// Whether they exist is not asked.
std::vector<std::string> part_paths(const std::string& path);

}  // namespace checkbit
