// Gemma 3: norms before and after each branch, query and key norms, five sliding-window layers to
// each global one, scaled embedding, tanh GELU (arXiv 2503.19786).

#include <array>
#include <cmath>

#include "arch/architecture.h"

namespace checkbit {
namespace {

constexpr std::array kPrologue = {
    Step{.kind = StepKind::embed, .out = Slot::residual, .weight = Role::token_embedding},
    Step{.kind = StepKind::scale, .out = Slot::residual}};

constexpr std::array kLayer = {
    Step{.kind = StepKind::rms_norm, .in = Slot::residual, .out = Slot::normed, .weight = Role::attention_norm},
    Step{.kind = StepKind::linear, .in = Slot::normed, .out = Slot::query, .weight = Role::attention_query},
    Step{.kind = StepKind::linear, .in = Slot::normed, .out = Slot::key, .weight = Role::attention_key},
    Step{.kind = StepKind::linear, .in = Slot::normed, .out = Slot::value, .weight = Role::attention_value},
    Step{.kind = StepKind::head_norm, .out = Slot::query, .weight = Role::attention_query_norm},
    Step{.kind = StepKind::head_norm, .out = Slot::key, .weight = Role::attention_key_norm},
    Step{.kind = StepKind::rope, .out = Slot::query},
    Step{.kind = StepKind::rope, .out = Slot::key},
    Step{.kind = StepKind::attention, .in = Slot::query, .out = Slot::attended},
    Step{.kind = StepKind::linear, .in = Slot::attended, .out = Slot::branch, .weight = Role::attention_output},
    Step{.kind = StepKind::rms_norm, .in = Slot::branch, .out = Slot::branch, .weight = Role::attention_post_norm},
    Step{.kind = StepKind::add, .in = Slot::branch, .out = Slot::residual},
    Step{.kind = StepKind::rms_norm, .in = Slot::residual, .out = Slot::normed, .weight = Role::ffn_norm},
    Step{.kind = StepKind::linear, .in = Slot::normed, .out = Slot::gate, .weight = Role::ffn_gate},
    Step{.kind = StepKind::linear, .in = Slot::normed, .out = Slot::up, .weight = Role::ffn_up},
    Step{.kind = StepKind::gelu_multiply, .in = Slot::gate, .out = Slot::gate, .second = Slot::up},
    Step{.kind = StepKind::linear, .in = Slot::gate, .out = Slot::branch, .weight = Role::ffn_down},
    Step{.kind = StepKind::rms_norm, .in = Slot::branch, .out = Slot::branch, .weight = Role::ffn_post_norm},
    Step{.kind = StepKind::add, .in = Slot::branch, .out = Slot::residual},
};

constexpr std::array kEpilogue = {
    Step{.kind = StepKind::rms_norm, .in = Slot::residual, .out = Slot::normed, .weight = Role::output_norm},
    Step{.kind = StepKind::linear, .in = Slot::normed, .out = Slot::logits, .weight = Role::output},
    Step{.kind = StepKind::softcap, .out = Slot::logits},
};

constexpr std::array kOptional = {Role::output};
constexpr std::array<std::string_view, 5> kKeys = {
    "attention.sliding_window", "attention.sliding_window_pattern", "rope.freq_base_swa",
    "rope.local.freq_base", "final_logit_softcapping"};

/// The 27B model scales queries by its embedding per head, not by the head size.
constexpr std::int64_t kLayersOf27B = 62;

Status refine(const Metadata& metadata, Hyperparameters& h) {
  h.embedding_scale = std::sqrt(static_cast<float>(h.embedding));
  h.sliding_window = static_cast<std::int64_t>(metadata.get_uint("gemma3.attention.sliding_window").value_or(0));
  h.global_every = static_cast<std::int64_t>(metadata.get_uint("gemma3.attention.sliding_window_pattern").value_or(6));
  if (metadata.find("gemma3.attention.sliding_window_pattern") != nullptr &&
      !metadata.get_uint("gemma3.attention.sliding_window_pattern")) {
    return fail(ErrorKind::unsupported, "gemma3.attention.sliding_window_pattern: only a number is supported");
  }
  h.final_softcap = static_cast<float>(metadata.get_float("gemma3.final_logit_softcapping").value_or(0));
  h.local_rope = RopeParameters{.dimensions = h.rope.dimensions};
  const auto local_base = metadata.get_float("gemma3.rope.freq_base_swa");
  h.local_rope.frequency_base = local_base ? *local_base : metadata.get_float("gemma3.rope.local.freq_base").value_or(10000);
  if (h.layers == kLayersOf27B) {
    h.attention_scale = 1.0f / std::sqrt(static_cast<float>(h.embedding) / static_cast<float>(h.heads));
  }
  return {};
}

}  // namespace

extern const Architecture gemma3_architecture;
const Architecture gemma3_architecture = {.name = "gemma3",
                                         .pairing = RopePairing::halves,
                                         .prologue = kPrologue,
                                         .layer = kLayer,
                                         .epilogue = kEpilogue,
                                         .optional = kOptional,
                                         .keys = kKeys,
                                         .refine = refine};

}  // namespace checkbit
