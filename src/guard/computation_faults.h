// Faults while a model computes: bits of results flipped between two steps.
//
// What: an observer of the executor. It first records one clean pass: which steps give how many
// numbers.
//   `draw` chooses bits among all of them; in the next pass over the same text each is flipped
//   right after its step. `accumulators` are the results of products, `activations` those of every
//   other step (norms, rotations, attention, activation functions, sums). Without an observer the
//   executor has nothing to do for it.
// Selection: `field` chooses sign, exponent or mantissa (quant: any), `tensor` and `layer` the step
// by
//   the name of its weight; steps without one are called after their kind.
// Errors: not_found when nothing is selected. Threads: that of the executor.
#pragma once

#include <vector>

#include "arch/executor.h"
#include "guard/fault_spec.h"

namespace checkbit {

class ComputationFaults : public StepObserver {
 public:
  /// Before the pass that is recorded.
  void start_recording(const FaultSpec& spec);
  /// Before a pass with faults. Returns how many there are.
  Result<std::uint64_t> draw(const FaultSpec& spec, std::uint64_t trial);
  void after(const StepView& view) override;

 private:
  struct Hit {
    std::uint64_t value;  ///< number among all values recorded
    std::uint32_t mask;
  };
  bool selects(const StepView& view) const;

  bool recording_ = false;
  FaultSpec spec_;
  std::uint64_t values_ = 0;  ///< recorded in all
  std::uint64_t passed_ = 0;  ///< in the pass that runs
  std::vector<Hit> hits_;     ///< by value
  std::size_t next_ = 0;
};

}  // namespace checkbit
