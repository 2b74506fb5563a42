// How `checkbit quantize` rounds: method and effort from flags to the rounded tensors.
//
// What: --rounding names a method, --effort says how long it may take and so which; text that is
//   rounded with is kept apart from text that the loss is measured on.
// Errors: those of the library; invalid for a text that is too short.
// Threads: one.
#pragma once

#include <optional>

#include "cli/quantize_job.h"
#include "quantize/round_model.h"

namespace checkbit {

/// `flags` and --rounding, --effort, --calibration-tokens, --damping, --column-order and
/// --write-calibration.
std::vector<Flag> with_rounding_flags(std::vector<Flag> flags);
/// Combinations that do not go together.
Status check_rounding_flags(const Arguments& arguments);

struct RoundingChoice {
  const RoundingMethod* method = nullptr;
  RoundModelOptions options;
  std::size_t tokens = 0;  ///< of the calibration text, from its start
  /// "descent with 8192 tokens of text.txt (sha256 ...), damping 0.01, energy order, 2 sweeps".
  std::string description;
  std::string save_path;           ///< of --write-calibration, or empty
  std::string calibration_sha256;  ///< of the file given; "": none
  std::string note;                ///< what the user should know of the choice, or empty
};

/// For the plan's formats and the text at hand. Errors: invalid (a text too short for what was
/// asked for by name).
Result<RoundingChoice> choose_rounding(const Arguments& arguments, const QuantizeJob& job,
                                       const QuantizePlan& planned);

/// For what takes long: tensors that are finished are kept beside the output until the journal
/// ends, and those of a killed start taken up. Nothing where rounding takes no longer than writing.
Result<std::optional<TensorJournal>> open_journal(const RoundingChoice& choice,
                                                  const QuantizeJob& job, const Plan& plan,
                                                  const std::string& source_sha256,
                                                  Console& console);

/// Nothing where the choice needs no more than write_model does.
Result<std::optional<RoundedModel>> round_tensors(const RoundingChoice& choice, QuantizeJob& job,
                                                  const Plan& plan,
                                                  const std::string& source_sha256,
                                                  TensorJournal* journal, Console& console);

}  // namespace checkbit
