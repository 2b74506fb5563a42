#include "arch/step_profiler.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace checkbit {
namespace {

constexpr std::array kKindNames = {"embed",         "scale", "norm",      "head norm",
                                   "linear",        "rope",  "attention", "silu_multiply",
                                   "gelu_multiply", "add",   "softcap"};

std::string name_of(const std::vector<const Step*>& steps) {
  if (steps[0]->kind != StepKind::linear)
    return kKindNames[static_cast<std::size_t>(steps[0]->kind)];
  std::string name;
  for (const Step* step : steps) {
    if (!name.empty()) name += '+';
    name += role_info(step->weight).name;
  }
  return name;
}

}  // namespace

void StepProfiler::before(const StepView& view) {
  running_.push_back(&view.step);
  started_ = now();
}

void StepProfiler::after(const StepView& view) {
  if (running_.empty()) return;  // a later step of the operation that ended
  const double end = now();
  const std::string name = name_of(running_);
  auto found = std::ranges::find(operations_, name, &OperationProfile::name);
  if (found == operations_.end()) {
    operations_.push_back({.name = name});
    found = operations_.end() - 1;
  }
  ++found->calls;
  found->seconds += end - started_;
  found->bytes += static_cast<double>(view.cache_bytes);
  for (const Step* step : running_) {
    if (step->kind != StepKind::linear) continue;
    const PackedMatrix* matrix = model_->matrix(step->weight, view.layer);
    found->bytes += static_cast<double>(matrix->packed_bytes());
    found->products += static_cast<double>(matrix->rows() * matrix->columns() * view.n_tokens);
    const std::string kernel(matrix->kernel_name());
    if (found->kernel.find(kernel) == std::string::npos) {
      found->kernel += found->kernel.empty() ? kernel : ", " + kernel;
    }
  }
  calls_.push_back({static_cast<std::size_t>(found - operations_.begin()), view.layer,
                    view.n_tokens, started_, end});
  running_.clear();
}

double StepProfiler::seconds() const {
  double sum = 0;
  for (const OperationProfile& o : operations_) sum += o.seconds;
  return sum;
}

std::string StepProfiler::trace(const std::string& process) const {
  std::string json = R"({"displayTimeUnit":"ms","traceEvents":[)";
  json +=
      fmt::format(R"({{"name":"process_name","ph":"M","pid":1,"args":{{"name":"{}"}}}})", process);
  for (const Call& call : calls_) {
    json += fmt::format(
        R"(,{}{{"name":"{}","ph":"X","pid":1,"tid":1,"ts":{:.3f},"dur":{:.3f},"args":{{"layer":{},"tokens":{}}}}})",
        "\n", operations_[call.operation].name, call.start * 1e6, (call.end - call.start) * 1e6,
        call.layer, call.n_tokens);
  }
  return json + "]}\n";
}

}  // namespace checkbit
