// One measured number, and the environment it was measured in.
//
// What: `Record` is the only way a figure leaves Checkbit: name, value, unit, 95 % interval and the
//   command that gave it. Rendered as table, JSON or HTML by render.h.
// Names are fixed once published (docs/adding.md); units are SI or words ("bytes", "tokens/s").
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace checkbit {

struct Record {
  std::string name;  ///< snake_case: "kl_divergence_mean"
  double value = 0;
  std::string unit;           ///< "" for pure numbers, "share" for 0..1
  std::optional<double> low;  ///< 95 % interval, both or neither
  std::optional<double> high;
  std::string command;  ///< reproduces the figure
  /// For values that are not numbers (logits_hash): printed instead of `value`.
  std::optional<std::string> text;
  /// Of which model, where one run has several: its name. Else empty.
  std::string subject;
};

/// Ordered facts about the machine: processor, cores, instruction set, compiler, version, time.
using Environment = std::vector<std::pair<std::string, std::string>>;
Environment describe_environment();

}  // namespace checkbit
