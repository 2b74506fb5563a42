// Qwen 2 and 2.5: as Llama, with biases on query, key and value (arXiv 2407.10671).

#include <array>

#include "arch/steps.h"

namespace checkbit {
namespace {

constexpr auto kPrologue = steps::kEmbed;
constexpr auto kLayer =
    steps::join(steps::kBiasedQueryKeyValue, steps::kAttend, steps::kAddBranch,
                steps::gated_feed_forward(StepKind::silu_multiply), steps::kAddBranch);
constexpr auto kEpilogue = steps::kLogits;
constexpr std::array kOptional = {Role::output};

}  // namespace

extern const Architecture qwen2_architecture;
const Architecture qwen2_architecture = {.name = "qwen2",
                                         .pairing = RopePairing::halves,
                                         .prologue = kPrologue,
                                         .layer = kLayer,
                                         .epilogue = kEpilogue,
                                         .optional = kOptional};

}  // namespace checkbit
