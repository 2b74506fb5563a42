// The flags of the sampler and of stopping, for commands that generate text.
#pragma once

#include <vector>

#include "cli/command.h"
#include "run/generate.h"

namespace checkbit {

std::vector<Flag> sampler_flags();
/// A usage error for --logit-bias that is not ID=VALUE.
Status check_sampler_flags(const Arguments& arguments);
/// Precondition: check_sampler_flags passed.
GenerateOptions generate_options(const Arguments& arguments);

/// Why an answer ends before its end, and what helps; "" when it does not.
std::string describe_cut(const Generation& generation);

}  // namespace checkbit
