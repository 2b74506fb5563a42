// What `checkbit sweep` may measure of a model, and how each file is made.
//
// Names: a type or mix of `quantize --list`; bpw:3.5 for a type per tensor within so many bits;
//   e2m1 for an emulated float, with every size of block asked for; source for the model as it is;
//   all for every type and mix that makes the model smaller and source.
// Errors: not_found and invalid for names that are none of these; those of quantizing.
// Threads: one.
#pragma once

#include <string>
#include <vector>

#include "cli/quantize_job.h"
#include "measure/sweep/candidate.h"
#include "quantize/write_model.h"

namespace checkbit {

/// The class of method of a recipe, by what its format is made of: "one scale", "scale and offset",
/// "scales of scales", "uneven steps", "ternary", "float", or "mixed by rule"; "" for no recipe.
std::string_view method_of_recipe(std::string_view recipe);

/// In order of expected bits, each once.
Result<std::vector<SweepCandidate>> sweep_candidates(const ModelFile& source,
                                                     const std::vector<std::string>& names,
                                                     const std::vector<int>& blocks);

/// Makes candidates of `job`'s source. Calibrates once, when the first bpw:N is made.
Result<CandidateFile> make_candidate(QuantizeJob& job, const SweepCandidate& candidate,
                                     const std::string& path, const Receipt& receipt);

}  // namespace checkbit
