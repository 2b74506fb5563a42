#include "arch/step_profiler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

namespace checkbit {
namespace {

std::string name_of(const std::vector<const Step*>& steps) {
  if (steps[0]->kind != StepKind::linear) return std::string(kind_name(steps[0]->kind));
  std::string name;
  for (const Step* step : steps) {
    if (!name.empty()) name += '+';
    name += role_info(step->weight).name;
  }
  return name;
}

/// "a, b", each name once.
void add_name(std::string& names, std::string_view name) {
  for (std::size_t at = 0; at < names.size();) {
    const std::size_t end = std::min(names.find(", ", at), names.size());
    if (std::string_view(names).substr(at, end - at) == name) return;
    at = end + 2;
  }
  names += names.empty() ? "" : ", ";
  names += name;
}

void add_names(std::string& names, std::string_view more) {
  while (!more.empty()) {
    const std::string_view name = more.substr(0, more.find(", "));
    add_name(names, name);
    more.remove_prefix(std::min(more.size(), name.size() + 2));
  }
}

}  // namespace

std::string_view kind_name(StepKind kind) {
  constexpr std::array<std::string_view, 11> kNames = {
      "embed",     "scale",         "norm",          "head norm", "linear", "rope",
      "attention", "silu_multiply", "gelu_multiply", "add",       "softcap"};
  return kNames[static_cast<std::size_t>(kind)];
}

void StepProfiler::before(const StepView& view) {
  running_.push_back(&view.step);
  started_ = now();
}

void StepProfiler::after(const StepView& view) {
  if (running_.empty()) return;  // a later step of the operation that ended
  Spent spent{.calls = 1,
              .seconds = now() - started_,
              .bytes = static_cast<double>(view.cache_bytes),
              .products = 0};
  std::string kernels;
  for (const Step* step : running_) {
    if (step->kind != StepKind::linear) continue;
    const PackedMatrix* matrix = model_->matrix(step->weight, view.layer);
    spent.bytes += static_cast<double>(matrix->packed_bytes());
    spent.products += static_cast<double>(matrix->rows() * matrix->columns() * view.n_tokens);
    add_name(kernels, matrix->kernel_name());
  }
  OperationProfile& profile = operation(name_of(running_));
  profile += spent;
  add_names(profile.kernel, kernels);
  layers_.resize(std::max(layers_.size(), static_cast<std::size_t>(view.layer + 2)));
  layers_[static_cast<std::size_t>(view.layer + 1)] += spent;
  calls_.push_back({static_cast<std::size_t>(&profile - operations_.data()), view.layer,
                    view.n_tokens, started_, started_ + spent.seconds, spent.bytes,
                    std::move(kernels)});
  running_.clear();
}

OperationProfile& StepProfiler::operation(const std::string& name) {
  auto found = std::ranges::find(operations_, name, &OperationProfile::name);
  if (found != operations_.end()) return *found;
  OperationProfile& added = operations_.emplace_back();
  added.name = name;
  return added;
}

double StepProfiler::seconds() const {
  double sum = 0;
  for (const OperationProfile& o : operations_) sum += o.seconds;
  return sum;
}

std::string StepProfiler::trace(const std::string& process) const {
  // Built call by call: a tree of all of them would take many times the text.
  const auto event = [](const nlohmann::ordered_json& json) {
    return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  };
  const auto microseconds = [](double seconds) { return std::round(seconds * 1e9) / 1e3; };
  std::string json = R"({"displayTimeUnit":"ms","traceEvents":[)";
  for (const auto& [what, name] :
       {std::pair{"process_name", process}, {"thread_name", std::string("operations")}}) {
    json +=
        event({{"name", what}, {"ph", "M"}, {"pid", 1}, {"tid", 1}, {"args", {{"name", name}}}});
    json += ",\n";
  }
  for (const Call& call : calls_) {
    const OperationProfile& o = operations_[call.operation];
    nlohmann::ordered_json arguments = {{"layer", call.layer}, {"tokens", call.n_tokens}};
    if (call.bytes > 0) arguments["bytes"] = call.bytes;
    if (!call.kernel.empty()) arguments["kernel"] = call.kernel;
    json += event({{"name", o.name},
                   {"cat", call.layer < 0 ? "model" : "layer"},
                   {"ph", "X"},
                   {"pid", 1},
                   {"tid", 1},
                   {"ts", microseconds(call.start)},
                   {"dur", microseconds(call.end - call.start)},
                   {"args", std::move(arguments)}});
    json += ",\n";
  }
  json.resize(json.size() - 2);  // the last comma
  return json + "]}\n";
}

}  // namespace checkbit
