// Importance matrices: how much each input column of each matrix counts, shared with llama.cpp.
//
// What: `read_imatrix` reads what llama-imatrix writes, in its GGUF form (tensors NAME.in_sum2 and
//   NAME.counts) and in the older binary form; `write_imatrix` writes the GGUF form, which
//   llama-quantize takes. Rounding then weighs the error in a column by its importance.
// Units: mean squares of the column's inputs; only their proportions within a matrix matter. Those
//   of our calibration count every token alike (each token's squares are divided by their mean), so
//   a few tokens of huge size do not decide alone.
// Old form: int32 count; per matrix int32 length and name, int32 calls, int32 values, floats (mean
//   times calls); then, if anything, int32 chunks, int32 length and name of the text.
// Errors: corrupt (file, matrix, byte offset), invalid (of another model: which tensor is missing
// or
//   has another size), io.
// Threads: values.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "file/model_file.h"
#include "quantize/calibrate.h"

namespace checkbit {

struct ImportanceMatrix {
  std::map<std::string, std::vector<float>> columns;  ///< by tensor name: finite, >= 0
  std::string text_name;                              ///< what it was computed on, or empty
};

/// `bytes` is the whole file in either form; `path` is for messages.
Result<ImportanceMatrix> parse_imatrix(std::span<const std::uint8_t> bytes,
                                       const std::string& path);
Result<ImportanceMatrix> read_imatrix(const std::string& path);

/// Refuses one of another model: every matrix of the model but embedding and output must be there
/// with its columns, and nothing that the model does not have.
Status check_imatrix(const ImportanceMatrix& imatrix, const ModelFile& file,
                     const std::string& path);

/// Replaces the column energies of `calibration`, in their old sum where there were any.
void apply_imatrix(const ImportanceMatrix& imatrix, Calibration& calibration);

/// Column energies of a calibration. `text_name` says of which text.
Status write_imatrix(const Calibration& calibration, const std::string& text_name,
                     const std::string& path);

}  // namespace checkbit
