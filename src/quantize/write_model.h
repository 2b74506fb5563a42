// Writing a planned file: tensor by tensor, slab by slab.
//
// What: decodes rows of the source, checks that they are finite, encodes them on all threads and
//   appends them; tensors that keep their format are copied. Peak memory is a few slabs whatever
//   the model's size. The receipt goes into metadata (checkbit.receipt.*).
// Errors: corrupt (NaN or infinity in a weight: tensor and row), invalid (output is the source),
// io,
//   cancelled. On any error the file under the final name is as before.
// Threads: one call at a time.
#pragma once

#include <string>

#include "base/thread_pool.h"
#include "quantize/calibrate.h"
#include "quantize/plan.h"

namespace checkbit {

struct Receipt {
  std::string source_sha256;
  std::string command;
  std::string loss;  ///< "" while it is not measured yet
};

/// `calibration`, if given, weighs the rounding of each column by its energy.
Status write_model(const ModelFile& source, const Plan& plan, const Receipt& receipt,
                   const Calibration* calibration, const std::string& path, ThreadPool& pool);

/// Refuses a path that names the source file or one of its parts, also through links, and one in a
/// folder that does not exist: said before the work and not after it.
Status check_output_path(const ModelFile& source, const std::string& path);

}  // namespace checkbit
