#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include "base/progress.h"
#include "measure/numerics/conversion.h"
#include "measure/numerics/float_engine.h"
#include "report/text.h"
#include "score/divergence.h"

namespace checkbit {
namespace {

/// A step may differ this many times as much as its weights: some columns carry more than others.
constexpr double kAmplification = 8;

/// What every step of the source wrote, in order.
class Recorder : public StepObserver {
 public:
  void after(const StepView& view) override {
    std::vector<float> rows;
    for (std::int64_t t = 0; t < view.n_tokens; ++t) {
      const float* row = view.out + t * view.out_stride;
      rows.insert(rows.end(), row, row + view.out_size);
    }
    outputs_.push_back(std::move(rows));
  }
  const std::vector<std::vector<float>>& outputs() const { return outputs_; }

 private:
  std::vector<std::vector<float>> outputs_;
};

/// Compares every step of the converted model with the record, and goes on with the record's
/// values, so that no difference travels.
class Follower : public StepObserver {
 public:
  Follower(const Recorder& recorder, const std::map<std::string, double>& allowed,
           OutputCheck& check)
      : outputs_(recorder.outputs()), allowed_(allowed), check_(check) {}

  void after(const StepView& view) override {
    CB_CHECK(check_.steps < outputs_.size());
    const std::vector<float>& expected = outputs_[check_.steps++];
    double error = 0;
    double energy = 0;
    const float* from = expected.data();
    for (std::int64_t t = 0; t < view.n_tokens; ++t) {
      float* row = view.out + t * view.out_stride;
      for (std::int64_t i = 0; i < view.out_size; ++i, ++from) {
        const double difference = static_cast<double>(row[i]) - static_cast<double>(*from);
        error += difference * difference;
        energy += static_cast<double>(*from) * static_cast<double>(*from);
        row[i] = *from;
      }
    }
    judge(view, std::sqrt(error / std::max(energy, 1e-300)));
  }

 private:
  /// Of a step with weights, what those differ by; of one without, nothing.
  double allowance(const StepView& view) const {
    double allowed = 0;
    for (const Role role : {view.step.weight, view.step.bias}) {
      if (role == Role::none) continue;
      const auto found = allowed_.find(role_info(role).tensor_name(static_cast<int>(view.layer)));
      if (found != allowed_.end()) allowed = std::max(allowed, found->second);
    }
    return allowed;
  }

  void judge(const StepView& view, double error) {
    StepCheck step{.name = operation_name(view.step),
                   .error = std::isnan(error) ? std::numeric_limits<double>::infinity() : error,
                   .allowed = allowance(view)};
    if (view.layer >= 0) step.name = fmt::format("layer {} {}", view.layer, step.name);
    if (step.error > step.allowed) {
      if (!check_.first_difference) check_.first_difference = step;
    } else if (step.error >= check_.worst.error) {
      check_.worst = step;
    }
  }

  const std::vector<std::vector<float>>& outputs_;
  const std::map<std::string, double>& allowed_;
  OutputCheck& check_;
};

/// Relative difference that a step may show, by the name of its tensor.
std::map<std::string, double> allowances(const std::vector<TensorCheck>& tensors,
                                         const Model& model) {
  std::map<std::string, double> allowed;
  for (const TensorCheck& tensor : tensors) {
    // A damaged tensor may differ by what rounding alone would have left.
    const double by_weights = tensor.state == TensorState::rounded
                                  ? std::max(tensor.relative_error, tensor.rounding_error)
                                  : tensor.rounding_error;
    allowed[tensor.name] = kAmplification * by_weights;
  }
  if (model.matrix(Role::output) == model.matrix(Role::token_embedding))
    allowed[role_info(Role::output).tensor_name(0)] =
        allowed[role_info(Role::token_embedding).tensor_name(0)];
  return allowed;
}

/// Evaluates all tokens in one batch, so that both models run the same steps.
Result<std::vector<std::vector<float>>> run(Session& session, std::span<const TokenId> tokens,
                                            StepObserver* observer) {
  session.cache().truncate(0);
  const Observing observing(session.executor(), observer);
  std::vector<std::vector<float>> rows;
  CB_TRY_STATUS(
      session.evaluate(tokens, Logits::all, [&](std::size_t, std::span<const float> row) -> Status {
        rows.emplace_back(row.begin(), row.end());
        return {};
      }));
  return rows;
}

std::string in_short(const GgufArray& array) { return fmt::format("{} values", array.size()); }

std::string in_short(const GgufValue& value) {
  constexpr std::size_t kCells = 40;
  const std::string text = std::visit(
      [](const auto& v) -> std::string {
        if constexpr (std::is_same_v<std::decay_t<decltype(v)>, GgufArray>) {
          return in_short(v);
        } else {
          return fmt::format("{}", v);
        }
      },
      value.value);
  return std::string(prefix_of_width(clean_line(text), kCells));
}

bool same_array(const GgufArray& a, const GgufArray& b);

template <class T>
bool same_values(const std::vector<T>& a, const std::vector<T>& b) {
  if constexpr (std::is_same_v<T, GgufArray>) {
    return std::ranges::equal(a, b, same_array);
  } else if constexpr (std::is_floating_point_v<T>) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
  } else {
    return a == b;
  }
}

bool same_array(const GgufArray& a, const GgufArray& b) {
  if (a.kind != b.kind || a.values.index() != b.values.index()) return false;
  return std::visit(
      [&](const auto& mine) {
        return same_values(mine, std::get<std::decay_t<decltype(mine)>>(b.values));
      },
      a.values);
}

bool same_value(const GgufValue& a, const GgufValue& b) {
  if (a.kind != b.kind || a.value.index() != b.value.index()) return false;
  return std::visit(
      [&](const auto& mine) {
        const auto& theirs = std::get<std::decay_t<decltype(mine)>>(b.value);
        if constexpr (std::is_same_v<std::decay_t<decltype(mine)>, GgufArray>) {
          return same_array(mine, theirs);
        } else {
          return mine == theirs || (mine != mine && theirs != theirs);
        }
      },
      a.value);
}

bool may_change(std::string_view key) {
  return key == "general.file_type" || key == "general.quantization_version" ||
         key.starts_with("checkbit.") || key.starts_with("quantize.");
}

}  // namespace

std::vector<MetadataDifference> compare_metadata(const Metadata& source,
                                                 const Metadata& converted) {
  std::vector<MetadataDifference> differences;
  for (const auto& [key, value] : source.entries()) {
    if (may_change(key)) continue;
    const GgufValue* other = converted.find(key);
    if (other != nullptr && same_value(value, *other)) continue;
    differences.push_back({key, in_short(value), other == nullptr ? "" : in_short(*other)});
  }
  for (const auto& [key, value] : converted.entries()) {
    if (!may_change(key) && source.find(key) == nullptr)
      differences.push_back({key, "", in_short(value)});
  }
  return differences;
}

Result<OutputCheck> check_steps(Session& source, Session& converted,
                                std::span<const TokenId> tokens,
                                const std::vector<TensorCheck>& tensors) {
  CB_CHECK(source.options().activations == ActivationMode::f32 &&
           converted.options().activations == ActivationMode::f32);
  if (&source.model().architecture() != &converted.model().architecture() ||
      source.model().hyperparameters().layers != converted.model().hyperparameters().layers) {
    return fail(ErrorKind::invalid, "{} and {} are not of one architecture and depth",
                source.file().path(), converted.file().path());
  }
  OutputCheck check;
  check.tokens = tokens.size();
  Recorder recorder;
  CB_TRY(const auto expected, run(source, tokens, &recorder));
  const std::map<std::string, double> allowed = allowances(tensors, source.model());
  Follower follower(recorder, allowed, check);
  CB_TRY_STATUS([&]() -> Status {
    const auto followed = run(converted, tokens, &follower);
    return followed ? Status() : Status(followed.error());
  }());
  CB_TRY(const auto alone, run(converted, tokens, nullptr));
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    const RowComparison pair = compare_rows(expected[t], alone[t]);
    check.divergence +=
        (pair.model.finite ? pair.kl_divergence : std::numeric_limits<double>::infinity()) /
        static_cast<double>(tokens.size());
    check.changed_choices += pair.same_top() ? 0 : 1;
  }
  return check;
}

}  // namespace checkbit
