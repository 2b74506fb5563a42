// Building blocks of the families' step lists, and how they are joined.
//
// What: what most decoder-only families share is written once here; a family joins blocks and its
// own
//   steps at compile time. Threads: constants.
#pragma once

#include <algorithm>
#include <array>

#include "arch/architecture.h"

namespace checkbit::steps {

template <std::size_t... kSizes>
constexpr auto join(const std::array<Step, kSizes>&... blocks) {
  std::array<Step, (kSizes + ...)> all;
  auto at = all.begin();
  ((at = std::copy(blocks.begin(), blocks.end(), at)), ...);
  return all;
}

constexpr std::array<Step, 1> one(Step step) { return {step}; }

constexpr Step norm(Slot in, Slot out, Role weight) {
  return {.kind = StepKind::rms_norm, .in = in, .out = out, .weight = weight};
}
constexpr Step linear(Slot in, Slot out, Role weight, Role bias = Role::none) {
  return {.kind = StepKind::linear, .in = in, .out = out, .weight = weight, .bias = bias};
}
constexpr Step head_norm(Slot slot, Role weight) {
  return {.kind = StepKind::head_norm, .out = slot, .weight = weight};
}

inline constexpr auto kEmbed =
    one({.kind = StepKind::embed, .out = Slot::residual, .weight = Role::token_embedding});
inline constexpr auto kScaleEmbedding = one({.kind = StepKind::scale, .out = Slot::residual});

/// Residual to query, key and value.
inline constexpr auto kQueryKeyValue =
    std::array{norm(Slot::residual, Slot::normed, Role::attention_norm),
               linear(Slot::normed, Slot::query, Role::attention_query),
               linear(Slot::normed, Slot::key, Role::attention_key),
               linear(Slot::normed, Slot::value, Role::attention_value)};

inline constexpr auto kBiasedQueryKeyValue = std::array{
    norm(Slot::residual, Slot::normed, Role::attention_norm),
    linear(Slot::normed, Slot::query, Role::attention_query, Role::attention_query_bias),
    linear(Slot::normed, Slot::key, Role::attention_key, Role::attention_key_bias),
    linear(Slot::normed, Slot::value, Role::attention_value, Role::attention_value_bias)};

inline constexpr auto kHeadNorms = std::array{head_norm(Slot::query, Role::attention_query_norm),
                                              head_norm(Slot::key, Role::attention_key_norm)};

/// Query, key and value to the attention branch.
inline constexpr auto kAttend =
    std::array{Step{.kind = StepKind::rope, .out = Slot::query},
               Step{.kind = StepKind::rope, .out = Slot::key},
               Step{.kind = StepKind::attention, .in = Slot::query, .out = Slot::attended},
               linear(Slot::attended, Slot::branch, Role::attention_output)};

/// Residual to the feed-forward branch: down(activation(gate) * up).
constexpr auto gated_feed_forward(StepKind activation) {
  return std::array{
      norm(Slot::residual, Slot::normed, Role::ffn_norm),
      linear(Slot::normed, Slot::gate, Role::ffn_gate),
      linear(Slot::normed, Slot::up, Role::ffn_up),
      Step{.kind = activation, .in = Slot::gate, .out = Slot::gate, .second = Slot::up},
      linear(Slot::gate, Slot::branch, Role::ffn_down)};
}

inline constexpr auto kAddBranch =
    one({.kind = StepKind::add, .in = Slot::branch, .out = Slot::residual});

inline constexpr auto kLogits = std::array{norm(Slot::residual, Slot::normed, Role::output_norm),
                                           linear(Slot::normed, Slot::logits, Role::output)};

}  // namespace checkbit::steps
