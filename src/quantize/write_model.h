// Writing a planned file: tensor by tensor, slab by slab.
//
// What: decodes rows of the source, checks that they are finite, encodes them on all threads and
//   appends them; tensors that keep their format are copied. Peak memory is a few slabs whatever
//   the model's size. The receipt goes into metadata (checkbit.receipt.*); the loss measured on the
//   file itself is put in before it gets its name, so no file with a name lacks it.
// Errors: corrupt (NaN or infinity in a weight: tensor and row), invalid (output is the source),
//   io, cancelled. On any error the file under the final name is as before.
// Threads: one call at a time.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "file/gguf_writer.h"
#include "quantize/calibrate.h"
#include "quantize/plan.h"

namespace checkbit {

struct Receipt {
  std::string source_sha256;  ///< of each part, separated by spaces
  std::string command;
  std::string rounding = {};            ///< the method and what it was told; "": not said
  std::string loss = {};                ///< "" when it is not measured
  std::string calibration_sha256 = {};  ///< of the text or energies given; "": the built-in text
};

/// The receipt's sentence on the loss: for given counts of tokens as long for any divergence.
std::string loss_text(double divergence, std::uint64_t tokens);

Result<std::string> source_sha256(const ModelFile& source);

/// Tensors that are encoded already, by name (round_model.h).
using EncodedTensors = std::map<std::string, std::vector<std::uint8_t>>;

/// Changes a row of a quantizable matrix before it is encoded; called from many threads.
using RowChange = std::function<void(std::span<float> row)>;

/// `calibration`, if given, weighs the rounding of each column by its energy.
/// `encoded`, if given, holds what need not be encoded here.
/// The file whole, but still without its name: finish() gives it that.
Result<GgufWriter> write_unnamed(const ModelFile& source, const Plan& plan, const Receipt& receipt,
                                 const Calibration* calibration, const std::string& path,
                                 ThreadPool& pool, const RowChange& change = nullptr,
                                 const EncodedTensors* encoded = nullptr);
/// The same, finished.
Status write_model(const ModelFile& source, const Plan& plan, const Receipt& receipt,
                   const Calibration* calibration, const std::string& path, ThreadPool& pool,
                   const RowChange& change = nullptr, const EncodedTensors* encoded = nullptr);

/// Refuses a path that names the source file or one of its parts, also through links, one that is
/// named like a part itself, and one in a folder that does not exist: said before the work and not
/// after it.
Status check_output_path(const ModelFile& source, const std::string& path);

}  // namespace checkbit
