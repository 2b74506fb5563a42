// Faults against the checks and parity of protect/: one stripe of real bytes, hit again and again.
//
// What: each trial flips bits drawn evenly over a span, its block checks, its parity and the
// parity's
//   checks, mends the stripes as a seal or a scrubber would, and looks at every byte of the span:
//     corrected  something was noticed and the span is as it was
//     detected   a block was given up (impossible), and nothing wrong was passed off as right
//     benign     nothing was noticed and the span is as it was (cannot be, but for flips that undo
//                each other)
//     silent     the span differs and no block was given up
// Units: a trial has `faults` faults, each of the spec's kind (a bit, a burst, a page). Errors:
// those of SpanCode. Threads: one call at a time per object; calls with different objects at once.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "guard/fault_space.h"
#include "guard/outcome.h"
#include "protect/block_code.h"

namespace checkbit {

/// What lies in memory beside a span that is guarded by `code`: "checks", "parity" and "parity
/// checks", every bit of them that is used. The code outlives them.
std::vector<FaultRegion> code_regions(SpanCode& code);

class CodeFaults {
 public:
  /// Copies the bytes: those of the caller stay as they are.
  static Result<CodeFaults> create(std::span<const std::uint8_t> bytes, CodeShape shape);
  CodeFaults(CodeFaults&&) = default;
  CodeFaults& operator=(CodeFaults&&) = default;

  /// One trial. Afterwards everything is as before it.
  Outcome trial(const FaultSpec& spec, std::uint64_t number);
  /// Trials [begin, end).
  OutcomeCounts run(const FaultSpec& spec, std::uint64_t begin, std::uint64_t end);
  /// Bits that can be hit.
  std::uint64_t bits() const { return space_->bits(); }

 private:
  explicit CodeFaults(SpanCode code) : code_(std::move(code)) {}
  Status select();
  bool is_right(std::uint64_t block) const;
  void restore();

  SpanCode code_;
  AlignedBuffer span_;
  std::vector<std::uint8_t> original_;
  std::vector<BlockCheck> checks_;
  std::vector<BlockCheck> parity_checks_;
  std::vector<std::uint8_t> parity_;
  std::optional<FaultSpace> space_;
};

}  // namespace checkbit
