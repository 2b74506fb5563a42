// Qwen 3: as Llama, with a norm per head on query and key (arXiv 2505.09388).

#include <array>

#include "arch/architecture.h"

namespace checkbit {
namespace {

constexpr std::array kPrologue = {Step{.kind = StepKind::embed, .out = Slot::residual, .weight = Role::token_embedding}};

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
    Step{.kind = StepKind::add, .in = Slot::branch, .out = Slot::residual},
    Step{.kind = StepKind::rms_norm, .in = Slot::residual, .out = Slot::normed, .weight = Role::ffn_norm},
    Step{.kind = StepKind::linear, .in = Slot::normed, .out = Slot::gate, .weight = Role::ffn_gate},
    Step{.kind = StepKind::linear, .in = Slot::normed, .out = Slot::up, .weight = Role::ffn_up},
    Step{.kind = StepKind::silu_multiply, .in = Slot::gate, .out = Slot::gate, .second = Slot::up},
    Step{.kind = StepKind::linear, .in = Slot::gate, .out = Slot::branch, .weight = Role::ffn_down},
    Step{.kind = StepKind::add, .in = Slot::branch, .out = Slot::residual},
};

constexpr std::array kEpilogue = {
    Step{.kind = StepKind::rms_norm, .in = Slot::residual, .out = Slot::normed, .weight = Role::output_norm},
    Step{.kind = StepKind::linear, .in = Slot::normed, .out = Slot::logits, .weight = Role::output},
};

constexpr std::array kOptional = {Role::output};

}  // namespace

extern const Architecture qwen3_architecture;
const Architecture qwen3_architecture = {.name = "qwen3",
                                         .pairing = RopePairing::halves,
                                         .prologue = kPrologue,
                                         .layer = kLayer,
                                         .epilogue = kEpilogue,
                                         .optional = kOptional};

}  // namespace checkbit
