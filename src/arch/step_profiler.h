// Where the time of a forward pass goes: an observer that times every operation.
//
// What: linear steps of one input run as one operation ("ffn_gate+ffn_up"). Each operation, and
// each
//   layer, keeps its calls, seconds, the bytes of weights or of keys and values it read and its
//   multiply-adds with weights; a timeline of every call can be written as a trace (Chrome's trace
//   event format, which Perfetto opens).
// Units: seconds from the profiler's creation; bytes and multiply-adds are totals over all calls.
// Threads: as the executor that it observes.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "arch/executor.h"

namespace checkbit {

/// "norm", "rope", "attention": the kind of step as people read it.
std::string_view kind_name(StepKind kind);

struct Spent {
  std::int64_t calls = 0;  ///< of operations
  double seconds = 0;
  double bytes = 0;
  double products = 0;
  Spent& operator+=(const Spent& more) {
    calls += more.calls;
    seconds += more.seconds;
    bytes += more.bytes;
    products += more.products;
    return *this;
  }
};

struct OperationProfile : Spent {
  std::string name;    ///< of the weights' roles, or of the kind of step
  std::string kernel;  ///< product line of each matrix ("k32_b4_min"), empty without weights
};

class StepProfiler : public StepObserver {
 public:
  /// `model` must outlive the profiler.
  explicit StepProfiler(const Model& model) : model_(&model) {}
  void before(const StepView& view) override;
  void after(const StepView& view) override;

  /// In the order of their first call.
  const std::vector<OperationProfile>& operations() const { return operations_; }
  /// What stands outside the layers, then layer after layer.
  const std::vector<Spent>& layers() const { return layers_; }
  double seconds() const;
  /// A JSON document; `process` names it in the viewer.
  std::string trace(const std::string& process) const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Call {
    std::size_t operation;
    std::int64_t layer;
    std::int64_t n_tokens;
    double start, end;
    double bytes;
    std::string kernel;
  };
  OperationProfile& operation(const std::string& name);
  double now() const { return std::chrono::duration<double>(Clock::now() - began_).count(); }

  const Model* model_;
  Clock::time_point began_ = Clock::now();
  double started_ = 0;
  std::vector<const Step*> running_;  ///< steps of the operation under way
  std::vector<OperationProfile> operations_;
  std::vector<Spent> layers_;
  std::vector<Call> calls_;
};

}  // namespace checkbit
