// A model between two versions of it: every weight a mean of the two.
//
// What: W = share * older + (1 - share) * newer, tensor by tensor, for two files of one shape
//   (backward-compatible weight interpolation). Between a model and what quantization made of it,
//   it says how many flipped answers come back on the way; the file is as large as its format
//   makes it, so this is a measurement and a way to merge versions, not a smaller model.
// Format: matrices in `format` where its blocks divide a row, else F16; everything else F32.
//   Metadata is the newer file's.
// Memory: a slab of rows. Errors: invalid (a tensor that one of the two lacks or that has another
//   shape: by name; a share outside 0..1), corrupt (NaN, infinity, or too large for the format: the
//   tensor), io, cancelled.
// Threads: one call at a time.
// Reference: R. Schumann et al., "Backward Compatibility During Data Updates by Weight
//   Interpolation".
#pragma once

#include <string>

#include "base/thread_pool.h"
#include "file/gguf_writer.h"
#include "file/model_file.h"

namespace checkbit {

/// The file whole, but without its name: a session can open `temporary_path()`, and `finish` keeps
/// it. Destroyed, it is gone.
Result<GgufWriter> write_interpolated(const ModelFile& older, const ModelFile& newer, double share,
                                      const Format& format, const std::string& path,
                                      ThreadPool& pool);

}  // namespace checkbit
