// Qwen 3: as Llama, with a norm per head on query and key (arXiv 2505.09388).

#include <array>

#include "arch/steps.h"

namespace checkbit {
namespace {

constexpr auto kPrologue = steps::kEmbed;
constexpr auto kLayer =
    steps::join(steps::kQueryKeyValue, steps::kHeadNorms, steps::kAttend, steps::kAddBranch,
                steps::gated_feed_forward(StepKind::silu_multiply), steps::kAddBranch);
constexpr auto kEpilogue = steps::kLogits;
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
