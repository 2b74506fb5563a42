// What `checkbit measure` and `checkbit predict` work on: the open models, the text and how to
// compare.
//
// Errors: those of opening; invalid where two models split the text differently. Of several
//   candidates one that is damaged is set aside, so that the others are measured.
// Threads: one.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "measure/compare.h"
#include "run/session.h"

namespace checkbit {

struct BrokenModel {
  std::string name;
  std::string message;
};

struct MeasureInputs {
  std::vector<Session> models;
  std::vector<BrokenModel> broken;  ///< candidates that are damaged too much to open
  std::optional<Session> reference;
  std::string text_name;
  std::vector<TokenId> tokens;
  std::vector<Document> documents;
};

Result<MeasureInputs> open_measure_inputs(const Arguments& arguments, Console& console);

/// Windows of --context tokens of the text as `inputs` has it. `classes` and `inputs` outlive it.
CompareOptions compare_options(const Arguments& arguments, const MeasureInputs& inputs,
                               const TokenClasses& classes);

/// The windows that are read at most when nobody says how many.
inline constexpr std::size_t kUsualWindows = 256;

/// Notes when only a part of the text is read.
Result<ComparisonResult> run_measurement(const Arguments& arguments, MeasureInputs& inputs,
                                         Console& console);

/// "2%", "2.5 %" or "0.02" as a share between 0 and 1, both excluded.
std::optional<double> parse_share(std::string_view text);

}  // namespace checkbit
