// Names of models: MODEL on the command line is a path or a pulled name.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace checkbit {

/// Names with a file in the models folder, sorted.
std::vector<std::string> pulled_models();
/// Names that `pull` knows.
std::vector<std::string> catalogue_models();
/// The file that MODEL means. An existing path wins over a name.
Result<std::string> resolve_model(const std::string& model);

}  // namespace checkbit
